
#ifndef _PULSE_ASK_H_INCLUDED_
#define _PULSE_ASK_H_INCLUDED_


#include "ngx_pulse_json.h"
#include "pulse_chat.h"


#define PULSE_ASK_FAULT  256


/*
 * A question to the chat model whose answer is JSON: what it writes is checked
 * before it is used.  What cannot be used is asked for once more, with what
 * is wrong with it; then the request is refused.
 */

typedef struct pulse_ask_s  pulse_ask_t;

struct pulse_ask_s {
    pulse_chat_t             chat;

    ngx_str_t                model;         /* empty: the studio's default */
    ngx_str_t                system;
    ngx_str_t                prompt;
    const char              *name;          /* of the schema */
    const char              *schema;        /* JSON text */

    /* NGX_OK; NGX_DECLINED with ask->fault, for the model to read;
     * NGX_ERROR: no memory */
    ngx_int_t              (*check)(pulse_ask_t *ask,
                                    const ngx_pulse_json_value_t *v);
    pulse_http_handler_pt    done;          /* of a good answer */
    void                    *ctx;

    char                     fault[PULSE_ASK_FAULT];
    ngx_uint_t               attempts;
    int64_t                  until;         /* ms */
    ngx_str_t                answer;        /* the last one, as written */
    ngx_str_t                by;            /* the model that wrote it */
    ngx_str_t                usage;         /* JSON, of the last one */
};


/* Has the model asked once the handler returns, which it does with MHD_YES,
 * or with an error answered. */
enum MHD_Result pulse_ask(pulse_http_request_t *r, pulse_ask_t *ask);

/* Appends members "model" and "usage". */
void pulse_ask_members(const pulse_ask_t *ask, ngx_pulse_buf_t *b);


#endif /* _PULSE_ASK_H_INCLUDED_ */
