
#include <arpa/inet.h>
#include <curl/curl.h>
#include <time.h>
#include "pulse_jobs.h"
#include "pulse_smtp.h"


#define PULSE_SMTP_CONNECT  10              /* seconds */
#define PULSE_SMTP_GOODBYE  5


/* what was said to the server last */

typedef enum {
    PULSE_SMTP_HELLO = 0,                   /* or nothing yet */
    PULSE_SMTP_LOGIN,
    PULSE_SMTP_FROM,
    PULSE_SMTP_RECIPIENT,
    PULSE_SMTP_DATA
} pulse_smtp_stage_e;


typedef struct {
    const u_char        *data;              /* of the message, to be sent */
    size_t               len;
    pulse_smtp_stage_e   stage;
    time_t               quit;              /* since when no reply matters */
    int                  code;              /* of the server's last reply */
    char                 reply[PULSE_SMTP_REASON];
} pulse_smtp_talk_t;


static const char *pulse_smtp_target(pulse_smtp_t *smtp, CURLU *url);
static ngx_uint_t pulse_smtp_loopback(const char *host);
static CURLcode pulse_smtp_setup(const pulse_smtp_t *smtp, CURL *curl,
    pulse_smtp_talk_t *talk);
static CURLcode pulse_smtp_mail(CURL *curl, pulse_smtp_mail_t *mail,
    struct curl_slist **recipients);
static size_t pulse_smtp_read(char *buffer, size_t size, size_t n, void *arg);
static int pulse_smtp_progress(void *arg, curl_off_t dltotal,
    curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow);
static time_t pulse_smtp_now(void);
static int pulse_smtp_hear(CURL *curl, curl_infotype type, char *data,
    size_t len, void *arg);
static void pulse_smtp_said(pulse_smtp_talk_t *talk, const char *data,
    size_t len);
static void pulse_smtp_reply(pulse_smtp_talk_t *talk, const char *data,
    size_t len);
static ngx_int_t pulse_smtp_judge(pulse_smtp_talk_t *talk,
    pulse_smtp_mail_t *mail, CURLcode code);
static ngx_uint_t pulse_smtp_bad_address(pulse_smtp_talk_t *talk);


const char *
pulse_smtp_init(pulse_smtp_t *smtp)
{
    CURLU       *url;
    const char  *reason;

    if ((smtp->user == NULL) != (smtp->password == NULL)) {
        return "a user and a password go together";
    }

    if (smtp->tls
        && strcmp(smtp->tls, "required") != 0
        && strcmp(smtp->tls, "none") != 0)
    {
        return "TLS is \"required\" or \"none\"";
    }

    url = curl_url();
    if (url == NULL) {
        return "no memory";
    }

    reason = curl_url_set(url, CURLUPART_URL, smtp->url, 0) == CURLUE_OK
             ? pulse_smtp_target(smtp, url) : "it is no URL";

    curl_url_cleanup(url);

    return reason;
}


static const char *
pulse_smtp_target(pulse_smtp_t *smtp, CURLU *url)
{
    char        *part, *name;
    ngx_uint_t   loopback, implicit;

    if (curl_url_get(url, CURLUPART_USER, &part, 0) == CURLUE_OK
        || curl_url_get(url, CURLUPART_PASSWORD, &part, 0) == CURLUE_OK)
    {
        curl_free(part);
        return "a login is not part of the URL";
    }

    if (curl_url_get(url, CURLUPART_SCHEME, &part, 0) != CURLUE_OK) {
        return "it is no URL";
    }

    implicit = (strcmp(part, "smtps") == 0);

    if (!implicit && strcmp(part, "smtp") != 0) {
        curl_free(part);
        return "the URL is neither smtp:// nor smtps://";
    }

    curl_free(part);

    if (curl_url_get(url, CURLUPART_HOST, &part, 0) != CURLUE_OK) {
        return "the URL has no host";
    }

    loopback = pulse_smtp_loopback(part);
    curl_free(part);

    if (smtp->tls && smtp->tls[0] == 'n' && !loopback) {
        return "TLS may be left out on loopback alone";
    }

    smtp->plain = (!implicit && loopback
                   && (smtp->tls == NULL || smtp->tls[0] == 'n'));

    /* the path is the name that we greet with */

    if (curl_url_get(url, CURLUPART_PATH, &part, 0) != CURLUE_OK) {
        return "no memory";
    }

    name = (strcmp(part, "/") == 0) ? (char *) smtp->name : part;

    if (curl_url_set(url, CURLUPART_PATH, name, 0) != CURLUE_OK
        || curl_url_get(url, CURLUPART_URL, &smtp->target, 0) != CURLUE_OK)
    {
        curl_free(part);
        return "no memory";
    }

    curl_free(part);

    return NULL;
}


/* by its spelling: what a name means may change after this check */

static ngx_uint_t
pulse_smtp_loopback(const char *host)
{
    struct in_addr  addr;

    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) {
        return 1;
    }

    return inet_pton(AF_INET, host, &addr) == 1
           && ntohl(addr.s_addr) >> 24 == IN_LOOPBACKNET;
}


ngx_int_t
pulse_smtp_send(const pulse_smtp_t *smtp, pulse_smtp_mail_t *mail)
{
    CURL               *curl;
    CURLcode            code;
    pulse_smtp_talk_t   talk;
    struct curl_slist  *recipients;

    memset(&talk, 0, sizeof(pulse_smtp_talk_t));

    talk.data = mail->message.data;
    talk.len = mail->message.len;
    recipients = NULL;
    code = CURLE_OUT_OF_MEMORY;

    curl = curl_easy_init();

    if (curl) {
        code = pulse_smtp_setup(smtp, curl, &talk);
    }

    if (code == CURLE_OK) {
        code = pulse_smtp_mail(curl, mail, &recipients);
    }

    if (code == CURLE_OK) {
        code = curl_easy_perform(curl);
    }

    curl_easy_cleanup(curl);
    curl_slist_free_all(recipients);

    return pulse_smtp_judge(&talk, mail, code);
}


#define pulse_smtp_set(option, value)                                         \
    if (code == CURLE_OK) {                                                   \
        code = curl_easy_setopt(curl, option, value);                         \
    }


static CURLcode
pulse_smtp_setup(const pulse_smtp_t *smtp, CURL *curl, pulse_smtp_talk_t *talk)
{
    CURLcode  code;

    code = CURLE_OK;

    pulse_smtp_set(CURLOPT_URL, smtp->target);
    pulse_smtp_set(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    pulse_smtp_set(CURLOPT_PROXY, "");
    pulse_smtp_set(CURLOPT_NOSIGNAL, 1L);
    pulse_smtp_set(CURLOPT_CONNECTTIMEOUT, (long) PULSE_SMTP_CONNECT);
    pulse_smtp_set(CURLOPT_TIMEOUT, (long) smtp->timeout);
    pulse_smtp_set(CURLOPT_USE_SSL,
                   smtp->plain ? CURLUSESSL_NONE : CURLUSESSL_ALL);
    pulse_smtp_set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);

    if (smtp->ca) {
        pulse_smtp_set(CURLOPT_CAINFO, smtp->ca);
        pulse_smtp_set(CURLOPT_CAPATH, NULL);
    }

    if (smtp->user) {
        pulse_smtp_set(CURLOPT_USERNAME, smtp->user);
        pulse_smtp_set(CURLOPT_PASSWORD, smtp->password);
    }

    pulse_smtp_set(CURLOPT_UPLOAD, 1L);
    pulse_smtp_set(CURLOPT_READFUNCTION, pulse_smtp_read);
    pulse_smtp_set(CURLOPT_READDATA, talk);
    pulse_smtp_set(CURLOPT_INFILESIZE_LARGE, (curl_off_t) talk->len);

    pulse_smtp_set(CURLOPT_NOPROGRESS, 0L);
    pulse_smtp_set(CURLOPT_XFERINFOFUNCTION, pulse_smtp_progress);
    pulse_smtp_set(CURLOPT_XFERINFODATA, talk);

    /* closed within curl_easy_perform(), where the progress is still asked
     * for; a reply to QUIT would else be waited for two minutes */

    pulse_smtp_set(CURLOPT_FORBID_REUSE, 1L);

    /* CURLINFO_RESPONSE_CODE tells what was answered, but not to what */

    pulse_smtp_set(CURLOPT_VERBOSE, 1L);
    pulse_smtp_set(CURLOPT_DEBUGFUNCTION, pulse_smtp_hear);
    pulse_smtp_set(CURLOPT_DEBUGDATA, talk);

    return code;
}


static CURLcode
pulse_smtp_mail(CURL *curl, pulse_smtp_mail_t *mail,
    struct curl_slist **recipients)
{
    CURLcode  code;

    *recipients = curl_slist_append(NULL, mail->recipient);
    code = *recipients ? CURLE_OK : CURLE_OUT_OF_MEMORY;

    pulse_smtp_set(CURLOPT_MAIL_FROM, mail->from);
    pulse_smtp_set(CURLOPT_MAIL_RCPT, *recipients);

    return code;
}


static size_t
pulse_smtp_read(char *buffer, size_t size, size_t n, void *arg)
{
    size_t              len;
    pulse_smtp_talk_t  *talk;

    talk = arg;
    len = ngx_min(size * n, talk->len);

    memcpy(buffer, talk->data, len);

    talk->data += len;
    talk->len -= len;

    return len;
}


static int
pulse_smtp_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow,
    curl_off_t ultotal, curl_off_t ulnow)
{
    pulse_smtp_talk_t  *talk;

    talk = arg;

    return pulse_jobs_stopping()
           || (talk->quit
               && pulse_smtp_now() - talk->quit >= PULSE_SMTP_GOODBYE);
}


static time_t
pulse_smtp_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec;
}


static int
pulse_smtp_hear(CURL *curl, curl_infotype type, char *data, size_t len,
    void *arg)
{
    pulse_smtp_talk_t  *talk;

    talk = arg;

    if (type == CURLINFO_HEADER_OUT) {
        pulse_smtp_said(talk, data, len);

    } else if (type == CURLINFO_HEADER_IN && !talk->quit) {
        pulse_smtp_reply(talk, data, len);
    }

    return 0;
}


static void
pulse_smtp_said(pulse_smtp_talk_t *talk, const char *data, size_t len)
{
    size_t      n;
    ngx_uint_t  i;

    static const struct {
        const char          *text;
        pulse_smtp_stage_e   stage;
    } commands[] = {
        { "AUTH ", PULSE_SMTP_LOGIN },
        { "MAIL FROM:", PULSE_SMTP_FROM },
        { "RCPT TO:", PULSE_SMTP_RECIPIENT },
        { "DATA\r\n", PULSE_SMTP_DATA },
        { NULL, PULSE_SMTP_HELLO }
    };

    for (i = 0; commands[i].text; i++) {
        n = strlen(commands[i].text);

        if (len >= n && memcmp(data, commands[i].text, n) == 0) {
            talk->stage = commands[i].stage;
            return;
        }
    }

    if (len == sizeof("QUIT\r\n") - 1 && memcmp(data, "QUIT\r\n", len) == 0) {
        talk->quit = pulse_smtp_now();
    }
}


/* the last line of a reply is what remains */

static void
pulse_smtp_reply(pulse_smtp_talk_t *talk, const char *data, size_t len)
{
    size_t  i;

    for (i = 0; i < len && i < sizeof(talk->reply) - 1; i++) {

        if (data[i] == '\r' || data[i] == '\n') {
            break;
        }

        talk->reply[i] = (data[i] < ' ' || data[i] > '~') ? '?' : data[i];
    }

    talk->reply[i] = '\0';
    talk->code = atoi(talk->reply);
}


static ngx_int_t
pulse_smtp_judge(pulse_smtp_talk_t *talk, pulse_smtp_mail_t *mail,
    CURLcode code)
{
    if (code == CURLE_OK) {
        return NGX_OK;
    }

    if (code == CURLE_ABORTED_BY_CALLBACK) {
        return NGX_ABORT;
    }

    if (talk->code >= 400) {
        snprintf(mail->reason, sizeof(mail->reason), "%s", talk->reply);

    } else if (talk->stage == PULSE_SMTP_DATA && talk->len == 0) {
        snprintf(mail->reason, sizeof(mail->reason), "it may have been taken:"
                 " %s", curl_easy_strerror(code));

    } else {
        snprintf(mail->reason, sizeof(mail->reason), "%s",
                 curl_easy_strerror(code));
    }

    /* what comes before MAIL is for us to mend, and so is a login that is
     * missed there (RFC 4954): no mail is to be lost for it */

    mail->server = (talk->stage < PULSE_SMTP_FROM || talk->code < 400
                    || talk->code == 530 || talk->code == 535
                    || talk->code == 538);

    if (mail->server || talk->code < 500) {
        return NGX_AGAIN;
    }

    mail->bad_address = pulse_smtp_bad_address(talk);

    return NGX_DECLINED;
}


/* RFC 3463: 5.1.x is about addresses, 5.1.7 and 5.1.8 about the sender's;
 * 5.2.1 is a mailbox that takes no mail.  Other 550s are somebody's policy. */

static ngx_uint_t
pulse_smtp_bad_address(pulse_smtp_talk_t *talk)
{
    const char  *status;

    if (talk->stage != PULSE_SMTP_RECIPIENT) {
        return 0;
    }

    status = strlen(talk->reply) > 4 ? talk->reply + 4 : "";

    if (strncmp(status, "5.", 2) == 0) {
        return (strncmp(status, "5.1.", 4) == 0
                && strncmp(status, "5.1.7", 5) != 0
                && strncmp(status, "5.1.8", 5) != 0)
               || strncmp(status, "5.2.1 ", 6) == 0;
    }

    return talk->code == 550 || talk->code == 551 || talk->code == 553;
}
