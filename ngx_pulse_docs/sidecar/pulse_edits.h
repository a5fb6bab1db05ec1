
#ifndef _PULSE_EDITS_H_INCLUDED_
#define _PULSE_EDITS_H_INCLUDED_


#include "pulse_http.h"
#include "pulse_jobs.h"


/*
 * Edits of people's own pictures and clips: tasks that hold nothing of a plan,
 * for no provider is asked.  What a request asks for is tried on the file
 * before it is admitted, so that whatever is wrong with it is said at once.
 */

#define PULSE_EDITS_PICTURE  "image_edit"   /* of jobs, and of tasks */
#define PULSE_EDITS_CLIP     "video_edit"


/* For pulse_jobs_add(). */
extern const pulse_job_kind_t  pulse_edits_kinds[];


/* handlers, of workers */

enum MHD_Result pulse_edits_picture(pulse_http_request_t *r);
enum MHD_Result pulse_edits_clip(pulse_http_request_t *r);


#endif /* _PULSE_EDITS_H_INCLUDED_ */
