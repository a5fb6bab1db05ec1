
#ifndef _PULSE_CHAT_H_INCLUDED_
#define _PULSE_CHAT_H_INCLUDED_


#include "pulse_http.h"


#define PULSE_CHAT_HEADER  128
#define PULSE_CHAT_KEY     96
#define PULSE_CHAT_ANSWER  (4 * 1024 * 1024)


/*
 * One request to the studio's own gateway, over the unix socket on which nginx
 * serves this machine, in the name of the person whose request waits for it:
 * it is metered, kept and accounted for as any chat of theirs.  One thread
 * awaits all answers.
 */

struct pulse_chat_s {
    pulse_http_request_t   *request;
    pulse_http_handler_pt   handler;        /* of a worker, with the answer */
    ngx_pulse_buf_t         body;           /* what is asked */
    char                    key[PULSE_CHAT_KEY];    /* of idempotency, or "" */
    long                    timeout;        /* ms */

    long                    status;         /* 0: there is no answer */
    ngx_pulse_buf_t         answer;
    char                    retry_after[PULSE_CHAT_HEADER];
    char                    tokens[PULSE_CHAT_HEADER];      /* X-Usage-... */
    char                    warning[PULSE_CHAT_HEADER];

    void                   *easy;           /* of libcurl */
    void                   *headers;
    pulse_chat_t           *next;
};


/* Starts the thread; "socket" is nginx's.  0, or an errno. */
int pulse_chat_start(const char *socket);

/* Ends what is under way, as if nothing had answered, and all that comes
 * later; before pulse_worker_stop(). */
void pulse_chat_stop(void);

/* 1 if there is a gateway to ask. */
ngx_uint_t pulse_chat_possible(void);

/*
 * Sends r->chat, which is NULL afterwards.  From here on the request is the
 * thread's, which hands it to a worker for chat->handler; where too many wait
 * it is answered at once.
 */
void pulse_chat_send(pulse_http_request_t *r);


#endif /* _PULSE_CHAT_H_INCLUDED_ */
