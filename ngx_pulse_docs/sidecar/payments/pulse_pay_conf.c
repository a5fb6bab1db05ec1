
#include <stdarg.h>
#include <stdio.h>
#include "pulse_pay_conf.h"


#define PULSE_PAY_STRING_MAX  200
#define PULSE_PAY_SECRET_MAX  4096


static ngx_int_t pulse_pay_conf_mode(pulse_pay_conf_t *conf,
    ngx_pulse_json_value_t *v);
static ngx_int_t pulse_pay_conf_texts(pulse_pay_conf_t *conf,
    ngx_pulse_json_value_t *v, const ngx_str_t *text);
static ngx_int_t pulse_pay_conf_account(pulse_pay_conf_t *conf,
    ngx_pulse_json_value_t *v);
static const pulse_pay_provider_t *pulse_pay_conf_provider(
    ngx_pulse_json_value_t *v);
static ngx_int_t pulse_pay_conf_settings(pulse_pay_conf_t *conf,
    pulse_pay_account_t *account, ngx_pulse_json_value_t *v);
static ngx_int_t pulse_pay_conf_known(pulse_pay_conf_t *conf,
    pulse_pay_account_t *account, ngx_pulse_json_value_t *v);
static ngx_int_t pulse_pay_conf_currency(pulse_pay_conf_t *conf,
    pulse_pay_account_t *account, ngx_pulse_json_value_t *v);
static ngx_int_t pulse_pay_conf_base(pulse_pay_conf_t *conf,
    pulse_pay_account_t *account, ngx_pulse_json_value_t *v);
static ngx_int_t pulse_pay_conf_string(pulse_pay_conf_t *conf,
    ngx_pulse_json_value_t *v, const char *name, ngx_str_t *to);
static ngx_uint_t pulse_pay_conf_loopback(const ngx_str_t *host);
static ngx_uint_t pulse_pay_conf_listed(const char *list,
    const ngx_str_t *word);
static ngx_int_t pulse_pay_conf_host(const ngx_str_t *url, ngx_str_t *host,
    ngx_uint_t *secure);
static ngx_int_t pulse_pay_conf_secret(pulse_pay_conf_t *conf,
    const ngx_str_t *where, ngx_str_t *secret);
static ngx_int_t pulse_pay_conf_file(const char *name, char *buf,
    size_t size);
static ngx_int_t pulse_pay_conf_refuse(pulse_pay_conf_t *conf,
    const char *fmt, ...) __attribute__((format(printf, 2, 3)));


static const pulse_pay_provider_t *const  pulse_pay_providers[] = {
    &pulse_pay_hyperpay, &pulse_pay_paytabs, &pulse_pay_zaincash,
    &pulse_pay_zaincash_v1, NULL
};


ngx_int_t
pulse_pay_conf_read(pulse_pay_conf_t *conf, const ngx_str_t *text)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v, *providers, *one;

    conf->n = 0;

    v = ngx_pulse_json_tree(conf->pool, text->data, text->len, NULL, &err);

    if (v == NULL) {
        return pulse_pay_conf_refuse(conf, "it is no JSON: %s at byte %zu",
                                     err.reason, err.offset);
    }

    if (pulse_pay_conf_mode(conf, v) != NGX_OK
        || pulse_pay_conf_texts(conf, v, text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    providers = ngx_pulse_json_get(v, "providers");

    if (providers == NULL || providers->type != NGX_PULSE_JSON_OBJECT
        || providers->children == NULL)
    {
        return pulse_pay_conf_refuse(conf, "\"providers\" has none");
    }

    for (one = providers->children; one; one = one->next) {
        if (pulse_pay_conf_account(conf, one) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_pay_conf_mode(pulse_pay_conf_t *conf, ngx_pulse_json_value_t *v)
{
    ngx_str_t   mode, host;
    ngx_uint_t  secure;

    mode = pulse_pay_text(v, "mode", 4);

    if (mode.len != 4
        || (ngx_memcmp(mode.data, "test", 4) != 0
            && ngx_memcmp(mode.data, "live", 4) != 0))
    {
        return pulse_pay_conf_refuse(conf, "\"mode\" is \"test\" or"
                                     " \"live\"");
    }

    conf->live = (mode.data[0] == 'l');

    if (pulse_pay_conf_string(conf, v, "url", &conf->url) != NGX_OK
        || pulse_pay_conf_host(&conf->url, &host, &secure) != NGX_OK
        || (!secure && (conf->live || !pulse_pay_conf_loopback(&host))))
    {
        return pulse_pay_conf_refuse(conf, "\"url\" is not https: with a host"
                                     " and nothing after it");
    }

    return NGX_OK;
}


/* What the database gets as it is written. */

static ngx_int_t
pulse_pay_conf_texts(pulse_pay_conf_t *conf, ngx_pulse_json_value_t *v,
    const ngx_str_t *text)
{
    ngx_uint_t               i;
    ngx_str_t               *to;
    ngx_pulse_json_value_t  *member;

    static const char *const  names[] = { "prices", "invoices" };

    for (i = 0; i < 2; i++) {
        to = i ? &conf->invoices : &conf->prices;
        member = ngx_pulse_json_get(v, names[i]);

        if (member == NULL) {
            ngx_str_set(to, "{}");
            continue;
        }

        if (member->type != NGX_PULSE_JSON_OBJECT) {
            return pulse_pay_conf_refuse(conf, "\"%s\" is no object",
                                         names[i]);
        }

        to->len = member->end - member->start;
        to->data = ngx_pnalloc(conf->pool, to->len + 1);

        if (to->data == NULL) {
            return pulse_pay_conf_refuse(conf, "no memory");
        }

        ngx_memcpy(to->data, text->data + member->start, to->len);
        to->data[to->len] = '\0';
    }

    return NGX_OK;
}


static ngx_int_t
pulse_pay_conf_account(pulse_pay_conf_t *conf, ngx_pulse_json_value_t *v)
{
    const char           *reason;
    pulse_pay_account_t  *account;

    if (conf->n == PULSE_PAY_ACCOUNTS) {
        return pulse_pay_conf_refuse(conf, "there are too many providers");
    }

    account = &conf->accounts[conf->n];
    ngx_memzero(account, sizeof(pulse_pay_account_t));

    account->live = conf->live;
    account->provider = pulse_pay_conf_provider(v);

    if (account->provider == NULL) {
        return pulse_pay_conf_refuse(conf, "there is no provider \"%.*s\"",
                                     (int) ngx_min(v->key.len, 40),
                                     v->key.data);
    }

    if (pulse_pay_conf_known(conf, account, v) != NGX_OK
        || pulse_pay_conf_base(conf, account, v) != NGX_OK
        || pulse_pay_conf_currency(conf, account, v) != NGX_OK
        || pulse_pay_conf_settings(conf, account, v) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (account->provider->portless
        && memchr(conf->url.data + sizeof("https:") - 1, ':',
                  conf->url.len - (sizeof("https:") - 1)))
    {
        return pulse_pay_conf_refuse(conf, "%s: it calls back no port, and"
                                     " \"url\" has one",
                                     account->provider->name);
    }

    reason = account->provider->accept(account);

    if (reason) {
        return pulse_pay_conf_refuse(conf, "%s: %s", account->provider->name,
                                     reason);
    }

    conf->n++;

    return NGX_OK;
}


static const pulse_pay_provider_t *
pulse_pay_conf_provider(ngx_pulse_json_value_t *v)
{
    const pulse_pay_provider_t *const  *provider;

    for (provider = pulse_pay_providers; *provider; provider++) {
        if (v->key.len == strlen((*provider)->name)
            && ngx_memcmp(v->key.data, (*provider)->name, v->key.len) == 0)
        {
            return *provider;
        }
    }

    return NULL;
}


static ngx_int_t
pulse_pay_conf_settings(pulse_pay_conf_t *conf, pulse_pay_account_t *account,
    ngx_pulse_json_value_t *v)
{
    ngx_str_t                   *to;
    const pulse_pay_setting_t   *setting;

    for (setting = account->provider->settings; setting->name; setting++) {

        to = (ngx_str_t *) ((u_char *) account + setting->offset);

        if (pulse_pay_conf_string(conf, v, setting->name, to) != NGX_OK) {
            return pulse_pay_conf_refuse(conf, "%s: \"%s\" is missing",
                                         account->provider->name,
                                         setting->name);
        }

        if (setting->secret && pulse_pay_conf_secret(conf, to, to) != NGX_OK)
        {
            return pulse_pay_conf_refuse(conf, "%s: \"%s\" is not"
                                         " \"env:NAME\" or \"file:PATH\" of a"
                                         " secret", account->provider->name,
                                         setting->name);
        }
    }

    return NGX_OK;
}


/* A name that is not known may be one that was misspelled. */

static ngx_int_t
pulse_pay_conf_known(pulse_pay_conf_t *conf, pulse_pay_account_t *account,
    ngx_pulse_json_value_t *v)
{
    ngx_pulse_json_value_t     *member;
    const pulse_pay_setting_t  *setting;

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        return pulse_pay_conf_refuse(conf, "%s is no object",
                                     account->provider->name);
    }

    for (member = v->children; member; member = member->next) {

        if (pulse_pay_conf_listed(" base_url currency ", &member->key)) {
            continue;
        }

        for (setting = account->provider->settings;
             setting->name;
             setting++)
        {
            if (member->key.len == strlen(setting->name)
                && ngx_memcmp(member->key.data, setting->name,
                              member->key.len)
                   == 0)
            {
                break;
            }
        }

        if (setting->name == NULL) {
            return pulse_pay_conf_refuse(conf, "%s: \"%.*s\" is not known",
                                         account->provider->name,
                                         (int) ngx_min(member->key.len, 40),
                                         member->key.data);
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_pay_conf_currency(pulse_pay_conf_t *conf, pulse_pay_account_t *account,
    ngx_pulse_json_value_t *v)
{
    ngx_str_t  code;

    code = pulse_pay_text(v, "currency", 3);
    account->currency = pulse_currency_find(&code);

    if (account->currency == NULL
        || (account->provider->currencies
            && !pulse_pay_conf_listed(account->provider->currencies, &code)))
    {
        return pulse_pay_conf_refuse(conf, "%s: \"currency\" is none that it"
                                     " takes", account->provider->name);
    }

    return NGX_OK;
}


/* Play money never goes to a host of real money, nor the other way. */

static ngx_int_t
pulse_pay_conf_base(pulse_pay_conf_t *conf, pulse_pay_account_t *account,
    ngx_pulse_json_value_t *v)
{
    ngx_str_t    host;
    ngx_uint_t   secure, loopback;
    const char  *other;

    if (pulse_pay_conf_string(conf, v, "base_url", &account->base) != NGX_OK
        || pulse_pay_conf_host(&account->base, &host, &secure) != NGX_OK) {
        return pulse_pay_conf_refuse(conf, "%s: \"base_url\" is not https:"
                                     " with a host and nothing after it",
                                     account->provider->name);
    }

    loopback = pulse_pay_conf_loopback(&host);

    if (!secure && !loopback) {
        return pulse_pay_conf_refuse(conf, "%s: \"base_url\" is not https:",
                                     account->provider->name);
    }

    other = conf->live ? account->provider->test_hosts
                       : account->provider->live_hosts;

    if ((conf->live && loopback) || pulse_pay_conf_listed(other, &host)) {
        return pulse_pay_conf_refuse(conf, "%s: \"base_url\" is not of the"
                                     " mode \"%s\"", account->provider->name,
                                     conf->live ? "live" : "test");
    }

    return NGX_OK;
}


/* Copied, so that it ends with NUL; an empty one is missing. */

static ngx_int_t
pulse_pay_conf_string(pulse_pay_conf_t *conf, ngx_pulse_json_value_t *v,
    const char *name, ngx_str_t *to)
{
    ngx_str_t  text;

    text = pulse_pay_text(v, name, PULSE_PAY_STRING_MAX);

    return text.len ? pulse_pay_join(conf->pool, to, &text, NULL)
                    : NGX_DECLINED;
}


static ngx_uint_t
pulse_pay_conf_loopback(const ngx_str_t *host)
{
    return pulse_pay_conf_listed(" 127.0.0.1 localhost ", host);
}


static ngx_uint_t
pulse_pay_conf_listed(const char *list, const ngx_str_t *word)
{
    const char  *p;

    for (p = list; *p != '\0' && p[1] != '\0'; p = strchr(p + 1, ' ')) {
        if (strncmp(p + 1, (char *) word->data, word->len) == 0
            && p[1 + word->len] == ' ')
        {
            return word->len != 0;
        }
    }

    return 0;
}


/* "https://host" or "http://host", with a port or without; nothing else, so
 * that no user, path or space is read as a part of the host. */

static ngx_int_t
pulse_pay_conf_host(const ngx_str_t *url, ngx_str_t *host,
    ngx_uint_t *secure)
{
    size_t   i;
    u_char   ch;

    *secure = (url->len > 8 && ngx_memcmp(url->data, "https://", 8) == 0);

    if (!*secure
        && (url->len <= 7 || ngx_memcmp(url->data, "http://", 7) != 0))
    {
        return NGX_DECLINED;
    }

    i = *secure ? 8 : 7;

    host->data = url->data + i;
    host->len = 0;

    for ( /* void */ ; i < url->len; i++) {
        ch = url->data[i];

        if (ch == ':' && host->len) {
            break;
        }

        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')
              || ch == '-' || ch == '.'))
        {
            return NGX_DECLINED;
        }

        host->len++;
    }

    if (i < url->len && url->len - i < 2) {
        return NGX_DECLINED;
    }

    while (++i < url->len) {
        if (url->data[i] < '0' || url->data[i] > '9') {
            return NGX_DECLINED;
        }
    }

    return host->len ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
pulse_pay_conf_secret(pulse_pay_conf_t *conf, const ngx_str_t *where,
    ngx_str_t *secret)
{
    char             name[NGX_MAX_PATH], buf[PULSE_PAY_SECRET_MAX];
    const char      *value;
    ngx_pulse_buf_t  b;

    value = NULL;

    if (where->len > 4 && where->len < sizeof(name)
        && ngx_memcmp(where->data, "env:", 4) == 0)
    {
        snprintf(name, sizeof(name), "%.*s", (int) where->len - 4,
                 where->data + 4);
        value = getenv(name);

    } else if (where->len > 5 && where->len < sizeof(name)
               && ngx_memcmp(where->data, "file:", 5) == 0)
    {
        snprintf(name, sizeof(name), "%.*s", (int) where->len - 5,
                 where->data + 5);

        if (pulse_pay_conf_file(name, buf, sizeof(buf)) == NGX_OK) {
            value = buf;
        }
    }

    if (value == NULL || value[0] == '\0'
        || value[strcspn(value, "\r\n")] != '\0')
    {
        return NGX_DECLINED;
    }

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (u_char *) value, strlen(value));

    return pulse_pay_take(conf->pool, &b, secret);
}


/* The first line of a file, and there is only one. */

static ngx_int_t
pulse_pay_conf_file(const char *name, char *buf, size_t size)
{
    FILE    *file;
    size_t   n;

    file = fopen(name, "re");
    if (file == NULL) {
        return NGX_DECLINED;
    }

    n = fread(buf, 1, size - 1, file);
    fclose(file);

    if (n && buf[n - 1] == '\n') {
        n--;
    }

    buf[n] = '\0';

    return NGX_OK;
}


static ngx_int_t
pulse_pay_conf_refuse(pulse_pay_conf_t *conf, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vsnprintf(conf->reason, sizeof(conf->reason), fmt, args);
    va_end(args);

    return NGX_ERROR;
}


pulse_pay_account_t *
pulse_pay_conf_find(pulse_pay_conf_t *conf, const ngx_str_t *name)
{
    ngx_uint_t            i;
    pulse_pay_account_t  *account;

    for (i = 0; i < conf->n; i++) {
        account = &conf->accounts[i];

        if (name->len == strlen(account->provider->name)
            && ngx_memcmp(name->data, account->provider->name, name->len)
               == 0)
        {
            return account;
        }
    }

    return NULL;
}
