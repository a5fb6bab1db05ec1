
#include "ngx_http_pulse_gateway.h"


/*
 * Who is asked, and in what order.  Of a named route each member has a
 * weight: who is first goes round as nginx's own smooth weighted round robin
 * does, in each worker by itself, and the others follow by what they are
 * owed.  Backups come after all of them.
 */


typedef struct {
    ngx_str_t                      model;
    ngx_int_t                      weight;
    ngx_int_t                      current;
    unsigned                       backup:1;
} ngx_http_pulse_member_t;


typedef struct {
    ngx_str_t                      name;
    ngx_array_t                    members;    /* ngx_http_pulse_member_t */
} ngx_http_pulse_named_route_t;


static ngx_int_t ngx_http_pulse_route_member(ngx_str_t *value,
    ngx_http_pulse_member_t *member);
static ngx_http_pulse_named_route_t *ngx_http_pulse_route_find(
    ngx_http_pulse_gateway_main_conf_t *gmcf, const ngx_str_t *name);
static ngx_uint_t ngx_http_pulse_route_members(
    ngx_http_pulse_gateway_main_conf_t *gmcf,
    ngx_http_pulse_named_route_t *named, ngx_http_pulse_route_list_t *route);
static ngx_http_pulse_member_t *ngx_http_pulse_route_next(
    ngx_http_pulse_named_route_t *named, ngx_uint_t backup, uint64_t *taken);
static ngx_uint_t ngx_http_pulse_route_name(
    ngx_http_pulse_gateway_main_conf_t *gmcf, const ngx_str_t *name,
    ngx_http_pulse_route_list_t *route);
static ngx_uint_t ngx_http_pulse_route_within(
    ngx_http_pulse_gateway_main_conf_t *gmcf,
    ngx_http_pulse_provider_t *provider, const ngx_str_t *name,
    ngx_http_pulse_route_list_t *route);
static ngx_uint_t ngx_http_pulse_route_fits(ngx_pulse_model_t *model,
    ngx_http_pulse_route_list_t *route);
static ngx_uint_t ngx_http_pulse_route_sane(const ngx_str_t *name);
static void ngx_http_pulse_route_add(ngx_http_pulse_provider_t *provider,
    ngx_pulse_model_t *model, const ngx_str_t *name,
    ngx_http_pulse_route_list_t *route);
static void ngx_http_pulse_route_standby(ngx_http_pulse_route_list_t *route);
static ngx_uint_t ngx_http_pulse_route_model(
    ngx_http_pulse_gateway_main_conf_t *gmcf, const ngx_str_t *name,
    ngx_http_pulse_route_list_t *route);
static ngx_uint_t ngx_http_pulse_route_exists(
    ngx_http_pulse_gateway_main_conf_t *gmcf, const ngx_str_t *name);


void
ngx_http_pulse_gateway_route(ngx_http_pulse_gateway_main_conf_t *gmcf,
    ngx_pulse_openai_request_t *chat, ngx_http_pulse_route_list_t *route)
{
    ngx_str_t   *name;
    ngx_uint_t   i, known;

    route->n = 0;
    route->elsewhere = NULL;
    known = 0;

    if (route->kind == NGX_PULSE_MODEL_CHAT
        && (chat->model.len == 0
            || (chat->model.len == 4
                && ngx_strncmp(chat->model.data, "auto", 4) == 0)))
    {
        name = gmcf->defaults ? gmcf->defaults->elts : NULL;

        for (i = 0; gmcf->defaults && i < gmcf->defaults->nelts; i++) {
            known |= ngx_http_pulse_route_name(gmcf, &name[i], route);
        }

    } else {
        known = ngx_http_pulse_route_name(gmcf, &chat->model, route);
    }

    for (i = 0; i < chat->nfallbacks; i++) {
        known |= ngx_http_pulse_route_name(gmcf, &chat->fallbacks[i], route);
    }

    ngx_http_pulse_route_standby(route);

    route->known = (known != 0);
}


/* Adds who serves a name, if anybody does; 1 if somebody could. */

static ngx_uint_t
ngx_http_pulse_route_name(ngx_http_pulse_gateway_main_conf_t *gmcf,
    const ngx_str_t *name, ngx_http_pulse_route_list_t *route)
{
    ngx_http_pulse_named_route_t  *named;

    named = ngx_http_pulse_route_find(gmcf, name);

    return named ? ngx_http_pulse_route_members(gmcf, named, route)
                 : ngx_http_pulse_route_model(gmcf, name, route);
}


static ngx_http_pulse_named_route_t *
ngx_http_pulse_route_find(ngx_http_pulse_gateway_main_conf_t *gmcf,
    const ngx_str_t *name)
{
    ngx_uint_t                     i;
    ngx_http_pulse_named_route_t  *named;

    if (gmcf->routes == NULL) {
        return NULL;
    }

    named = gmcf->routes->elts;

    for (i = 0; i < gmcf->routes->nelts; i++) {
        if (named[i].name.len == name->len
            && ngx_memcmp(named[i].name.data, name->data, name->len) == 0)
        {
            return &named[i];
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_http_pulse_route_members(ngx_http_pulse_gateway_main_conf_t *gmcf,
    ngx_http_pulse_named_route_t *named, ngx_http_pulse_route_list_t *route)
{
    uint64_t                  taken;
    ngx_uint_t                backup, known;
    ngx_http_pulse_member_t  *member;

    known = 0;
    taken = 0;

    for (backup = 0; backup < 2; backup++) {

        for ( ;; ) {
            member = ngx_http_pulse_route_next(named, backup, &taken);

            if (member == NULL) {
                break;
            }

            known |= ngx_http_pulse_route_model(gmcf, &member->model, route);
        }
    }

    return known;
}


/* The first that is taken pays for it, and so is not the first next time. */

static ngx_http_pulse_member_t *
ngx_http_pulse_route_next(ngx_http_pulse_named_route_t *named,
    ngx_uint_t backup, uint64_t *taken)
{
    ngx_int_t                 total;
    ngx_uint_t                i, first;
    ngx_http_pulse_member_t  *members, *member, *best;

    members = named->members.elts;
    best = NULL;
    total = 0;
    first = 1;

    for (i = 0; i < named->members.nelts; i++) {
        if (members[i].backup == backup && (*taken & ((uint64_t) 1 << i))) {
            first = 0;
        }
    }

    for (i = 0; i < named->members.nelts; i++) {
        member = &members[i];

        if (member->backup != backup || (*taken & ((uint64_t) 1 << i))) {
            continue;
        }

        if (first) {
            member->current += member->weight;
            total += member->weight;
        }

        if (best == NULL || member->current > best->current) {
            best = member;
        }
    }

    if (best == NULL) {
        return NULL;
    }

    if (first) {
        best->current -= total;
    }

    *taken |= (uint64_t) 1 << (best - members);

    return best;
}


static ngx_uint_t
ngx_http_pulse_route_model(ngx_http_pulse_gateway_main_conf_t *gmcf,
    const ngx_str_t *name, ngx_http_pulse_route_list_t *route)
{
    u_char                      *colon;
    ngx_str_t                    prefix, rest;
    ngx_uint_t                   i;
    ngx_pulse_model_t           *model;
    ngx_http_pulse_provider_t   *provider, **providers;

    colon = ngx_strlchr(name->data, name->data + name->len, ':');

    if (colon) {
        prefix.data = name->data;
        prefix.len = colon - name->data;

        rest.data = colon + 1;
        rest.len = name->len - prefix.len - 1;

        provider = ngx_http_pulse_provider_find(gmcf, &prefix);

        /* names of tuned models have colons of their own */

        if (provider) {
            return ngx_http_pulse_route_within(gmcf, provider, &rest, route);
        }
    }

    model = ngx_pulse_models_find(&gmcf->models, NULL, name);

    if (model) {

        if (!ngx_http_pulse_route_fits(model, route)) {
            return 0;
        }

        provider = ngx_http_pulse_provider_find(gmcf, &model->provider);

        if (provider) {
            ngx_http_pulse_route_add(provider, model, &model->id, route);
        }

        return 1;
    }

    providers = gmcf->providers.elts;

    for (i = 0; i < gmcf->providers.nelts; i++) {
        if (!providers[i]->prefix_only
            && ngx_http_pulse_route_within(gmcf, providers[i], name, route))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_pulse_route_within(ngx_http_pulse_gateway_main_conf_t *gmcf,
    ngx_http_pulse_provider_t *provider, const ngx_str_t *name,
    ngx_http_pulse_route_list_t *route)
{
    ngx_str_t          *glob;
    ngx_uint_t          i;
    ngx_pulse_model_t  *model;

    model = ngx_pulse_models_find(&gmcf->models, &provider->name, name);

    if (model) {

        if (!ngx_http_pulse_route_fits(model, route)) {
            return 0;
        }

        ngx_http_pulse_route_add(provider, model, &model->id, route);
        return 1;
    }

    glob = provider->globs.elts;

    for (i = 0; i < provider->globs.nelts; i++) {

        if (!ngx_http_pulse_route_sane(name)
            || !ngx_pulse_models_glob(&glob[i], name))
        {
            continue;
        }

        /* not in the catalogue: the provider knows it or says that not */

        model = ngx_pulse_models_base(&gmcf->models, &provider->name, name);

        if (model == NULL) {
            model = ngx_pulse_models_pattern(&gmcf->models, &provider->name,
                                             name, route->kind);
        }

        if (model && !ngx_http_pulse_route_fits(model, route)) {
            return 0;
        }

        ngx_http_pulse_route_add(provider, model, name, route);
        return 1;
    }

    return 0;
}


static ngx_uint_t
ngx_http_pulse_route_fits(ngx_pulse_model_t *model,
    ngx_http_pulse_route_list_t *route)
{
    if (model->kind == route->kind) {
        return 1;
    }

    if (model->kind != NGX_PULSE_MODEL_MODERATION) {
        route->elsewhere = model;
    }

    return 0;
}


/* A name that is in no catalogue goes into X-Pulse-Model as it is. */

static ngx_uint_t
ngx_http_pulse_route_sane(const ngx_str_t *name)
{
    size_t  i;

    for (i = 0; i < name->len; i++) {
        if (name->data[i] <= ' ' || name->data[i] >= 0x7f) {
            return 0;
        }
    }

    return name->len != 0;
}


static void
ngx_http_pulse_route_add(ngx_http_pulse_provider_t *provider,
    ngx_pulse_model_t *model, const ngx_str_t *name,
    ngx_http_pulse_route_list_t *route)
{
    ngx_uint_t                   i;
    ngx_http_pulse_candidate_t  *candidate;

    if (!provider->available
        || route->n == NGX_HTTP_PULSE_GATEWAY_CANDIDATES)
    {
        return;
    }

    for (i = 0; i < route->n; i++) {
        candidate = &route->elts[i];

        if (candidate->provider == provider
            && candidate->name.len == name->len
            && ngx_memcmp(candidate->name.data, name->data, name->len) == 0)
        {
            return;
        }
    }

    candidate = &route->elts[route->n++];

    candidate->provider = provider;
    candidate->model = model;
    candidate->name = *name;
}


/* a stand-in must not hide that the real ones fail */

static void
ngx_http_pulse_route_standby(ngx_http_pulse_route_list_t *route)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < route->n; i++) {
        if (!route->elts[i].provider->standby) {
            n++;
        }
    }

    if (n == 0) {
        return;
    }

    n = 0;

    for (i = 0; i < route->n; i++) {
        if (!route->elts[i].provider->standby) {
            route->elts[n++] = route->elts[i];
        }
    }

    route->n = n;
}


char *
ngx_http_pulse_route_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_pulse_gateway_main_conf_t *gmcf = conf;

    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_http_pulse_member_t       *member;
    ngx_http_pulse_named_route_t  *named;

    value = cf->args->elts;

    if (ngx_http_pulse_route_find(gmcf, &value[1])) {
        return "is duplicate";
    }

    if (gmcf->routes == NULL) {
        gmcf->routes = ngx_array_create(cf->pool, 4,
                                        sizeof(ngx_http_pulse_named_route_t));
        if (gmcf->routes == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    named = ngx_array_push(gmcf->routes);

    if (named == NULL
        || ngx_array_init(&named->members, cf->pool, 4,
                          sizeof(ngx_http_pulse_member_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    named->name = value[1];
    member = NULL;

    for (i = 2; i < cf->args->nelts; i++) {

        if (member
            && ngx_http_pulse_route_member(&value[i], member) == NGX_OK)
        {
            continue;
        }

        member = ngx_array_push(&named->members);
        if (member == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(member, sizeof(ngx_http_pulse_member_t));

        member->model = value[i];
        member->weight = 1;

        if (ngx_http_pulse_route_member(&value[i], member) != NGX_DECLINED) {
            return "takes weight= (1 to 1000) and backup behind a model";
        }
    }

    if (named->members.nelts > NGX_HTTP_PULSE_GATEWAY_CANDIDATES) {
        return "has too many members";
    }

    return NGX_CONF_OK;
}


/* NGX_DECLINED: it says nothing of a member, and so is one. */

static ngx_int_t
ngx_http_pulse_route_member(ngx_str_t *value, ngx_http_pulse_member_t *member)
{
    ngx_int_t  n;

    if (ngx_strcmp(value->data, "backup") == 0) {
        member->backup = 1;
        return NGX_OK;
    }

    if (ngx_strncmp(value->data, "weight=", 7) != 0) {
        return NGX_DECLINED;
    }

    n = ngx_atoi(value->data + 7, value->len - 7);

    if (n < 1 || n > 1000) {
        return NGX_ERROR;
    }

    member->weight = n;

    return NGX_OK;
}


ngx_int_t
ngx_http_pulse_route_check(ngx_conf_t *cf,
    ngx_http_pulse_gateway_main_conf_t *gmcf)
{
    ngx_uint_t                     i, k;
    ngx_http_pulse_member_t       *member;
    ngx_http_pulse_named_route_t  *named;

    named = gmcf->routes ? gmcf->routes->elts : NULL;

    for (i = 0; gmcf->routes && i < gmcf->routes->nelts; i++) {
        member = named[i].members.elts;

        for (k = 0; k < named[i].members.nelts; k++) {
            member[k].current = 0;

            if (!ngx_http_pulse_route_exists(gmcf, &member[k].model)) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "pulse gateway: no provider or catalogue has the"
                              " model \"%V\" of \"pulse_route %V\"",
                              &member[k].model, &named[i].name);
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* A route may be one of models that chat, or that embed. */

static ngx_uint_t
ngx_http_pulse_route_exists(ngx_http_pulse_gateway_main_conf_t *gmcf,
    const ngx_str_t *name)
{
    ngx_http_pulse_candidate_t   elts[NGX_HTTP_PULSE_GATEWAY_CANDIDATES];
    ngx_http_pulse_route_list_t  route;

    ngx_memzero(&route, sizeof(ngx_http_pulse_route_list_t));
    route.elts = elts;

    route.kind = NGX_PULSE_MODEL_CHAT;

    if (ngx_http_pulse_route_model(gmcf, name, &route)) {
        return 1;
    }

    route.kind = NGX_PULSE_MODEL_EMBEDDING;

    return ngx_http_pulse_route_model(gmcf, name, &route);
}
