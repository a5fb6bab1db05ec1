
#include "pulse_demo.h"
#include "pulse_documents.h"
#include "pulse_edits.h"
#include "pulse_files.h"
#include "pulse_images.h"
#include "pulse_payments.h"
#include "pulse_routes.h"
#include "pulse_summary.h"
#include "pulse_tasks.h"
#include "pulse_uploads.h"
#include "pulse_video_form.h"
#include "pulse_worker.h"


#define PULSE_ROUTES      64            /* and one that ends them */
#define PULSE_ROUTES_OWN  5             /* of these, before any is added */


static enum MHD_Result pulse_routes_health(pulse_http_request_t *r);


static pulse_http_route_t  pulse_routes_all[PULSE_ROUTES] = {
    { "GET", "/health", pulse_routes_health, 0, 0 },
    { "GET", "/demo/v1/models", pulse_demo_models, 0, 0 },
    { "POST", "/demo/v1/chat/completions", pulse_demo_chat, 0, 0 },
    { "POST", "/demo/v1/embeddings", pulse_demo_embeddings, 0, 0 },
    { NULL, NULL, NULL, 0, 0 }
};

const pulse_http_route_t  pulse_routes_files[] = {
    { "POST", "/v1/cv/generate", pulse_documents_cv,
      PULSE_WORKER_DOCUMENTS, 1 },
    { "POST", "/v1/slides/generate", pulse_documents_slides,
      PULSE_WORKER_DOCUMENTS, 1 },
    { "POST", "/v1/pdf/summarize", pulse_summary_pdf,
      PULSE_WORKER_DOCUMENTS, 1 },
    { "POST", "/v1/images/transform", pulse_edits_picture,
      PULSE_WORKER_DOCUMENTS, 1 },
    { "POST", "/v1/video/transform", pulse_edits_clip,
      PULSE_WORKER_DOCUMENTS, 1 },
    { "POST", "/v1/files/presigned-upload", pulse_uploads_announce,
      PULSE_WORKER_DOCUMENTS, 0 },
    { "GET", "/v1/files", pulse_files_list, PULSE_WORKER_DOCUMENTS, 0 },
    { "GET", "/v1/files/{id}", pulse_files_get, PULSE_WORKER_DOCUMENTS, 0 },
    { "GET", "/v1/files/{id}/signed-url", pulse_files_signed_url,
      PULSE_WORKER_DOCUMENTS, 0 },
    { "POST", "/v1/files/{id}/complete", pulse_uploads_complete,
      PULSE_WORKER_DOCUMENTS, 0 },
    { "GET", "/v1/jobs", pulse_tasks_list, PULSE_WORKER_DOCUMENTS, 0 },
    { "GET", "/v1/jobs/{id}", pulse_tasks_get, PULSE_WORKER_DOCUMENTS, 0 },
    { "DELETE", "/v1/jobs/{id}", pulse_tasks_cancel,
      PULSE_WORKER_DOCUMENTS, 0 },
    { "DELETE", "/v1/files/{id}", pulse_files_delete,
      PULSE_WORKER_DOCUMENTS, 0 },
    { NULL, NULL, NULL, 0, 0 }
};

const pulse_http_route_t  pulse_routes_video[] = {
    { "POST", "/v1/video/generate", pulse_video_generate,
      PULSE_WORKER_DOCUMENTS, PULSE_HTTP_ONCE },
    { "POST", "/v1/video/webhook/replicate", pulse_video_webhook,
      PULSE_WORKER_WEBHOOKS, 0 },
    { NULL, NULL, NULL, 0, 0 }
};

const pulse_http_route_t  pulse_routes_images[] = {
    { "POST", "/v1/images/generate", pulse_images_generate,
      PULSE_WORKER_IMAGES, PULSE_HTTP_ONCE },
    { "POST", "/v1/images/edit", pulse_images_edit,
      PULSE_WORKER_IMAGES, PULSE_HTTP_ONCE|PULSE_HTTP_PARTS },
    { "POST", "/v1/images/generations", pulse_images_generate,
      PULSE_WORKER_IMAGES, PULSE_HTTP_ONCE|PULSE_HTTP_OPENAI },
    { "POST", "/v1/images/edits", pulse_images_edit,
      PULSE_WORKER_IMAGES,
      PULSE_HTTP_ONCE|PULSE_HTTP_PARTS|PULSE_HTTP_OPENAI },
    { NULL, NULL, NULL, 0, 0 }
};

const pulse_http_route_t  pulse_routes_payments[] = {
    { "POST", "/v1/payments/checkout", pulse_payments_checkout,
      PULSE_WORKER_PAYMENTS, 1 },
    { "POST", "/v1/payments/session", pulse_payments_checkout,
      PULSE_WORKER_PAYMENTS, 1 },
    { "GET", "/v1/payments/history", pulse_payments_history,
      PULSE_WORKER_DOCUMENTS, 0 },
    { "GET", "/v1/payments/{id}", pulse_payments_get,
      PULSE_WORKER_PAYMENTS, 0 },
    { "GET", "/v1/payments/{id}/invoice", pulse_invoices_get,
      PULSE_WORKER_DOCUMENTS, 0 },
    { "GET", "/v1/subscription", pulse_payments_subscription,
      PULSE_WORKER_DOCUMENTS, 0 },
    { "POST", "/v1/subscription/cancel", pulse_payments_cancel,
      PULSE_WORKER_DOCUMENTS, 0 },
    { "POST", "/v1/subscription/resume", pulse_payments_resume,
      PULSE_WORKER_DOCUMENTS, 0 },
    { "POST", "/v1/subscription/change", pulse_payments_change,
      PULSE_WORKER_DOCUMENTS, 0 },
    { "POST", "/v1/payments/webhook/hyperpay", pulse_webhooks_receive,
      PULSE_WORKER_WEBHOOKS, 0 },
    { "GET", "/v1/payments/return/hyperpay", pulse_webhooks_browser,
      PULSE_WORKER_WEBHOOKS, 0 },
    { "POST", "/v1/payments/return/hyperpay", pulse_webhooks_browser,
      PULSE_WORKER_WEBHOOKS, 0 },
    { "POST", "/v1/payments/webhook/paytabs", pulse_webhooks_receive,
      PULSE_WORKER_WEBHOOKS, 0 },
    { "GET", "/v1/payments/return/paytabs", pulse_webhooks_browser,
      PULSE_WORKER_WEBHOOKS, 0 },
    { "POST", "/v1/payments/return/paytabs", pulse_webhooks_browser,
      PULSE_WORKER_WEBHOOKS, 0 },
    { "POST", "/v1/payments/webhook/zaincash", pulse_webhooks_receive,
      PULSE_WORKER_WEBHOOKS, 0 },
    { "GET", "/v1/payments/return/zaincash", pulse_webhooks_browser,
      PULSE_WORKER_WEBHOOKS, 0 },
    { "POST", "/v1/payments/return/zaincash", pulse_webhooks_browser,
      PULSE_WORKER_WEBHOOKS, 0 },
    { "GET", "/v1/payments/return/zaincash_v1", pulse_webhooks_browser,
      PULSE_WORKER_WEBHOOKS, 0 },
    { NULL, NULL, NULL, 0, 0 }
};

_Static_assert(PULSE_ROUTES_OWN * sizeof(pulse_http_route_t)
               + sizeof(pulse_routes_files) + sizeof(pulse_routes_images)
               + sizeof(pulse_routes_payments) + sizeof(pulse_routes_video)
               <= sizeof(pulse_routes_all), "more routes than PULSE_ROUTES");


pulse_http_route_t *
pulse_routes(void)
{
    return pulse_routes_all;
}


void
pulse_routes_add(const pulse_http_route_t *routes)
{
    ngx_uint_t  i;

    for (i = 0; pulse_routes_all[i].path; i++) { /* void */ }

    while (routes->path) {
        pulse_routes_all[i++] = *routes++;
    }
}


static enum MHD_Result
pulse_routes_health(pulse_http_request_t *r)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"status\":\"ok\"}");

    return pulse_http_reply(r, MHD_HTTP_OK, &b);
}
