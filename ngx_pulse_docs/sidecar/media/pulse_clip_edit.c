
#include "pulse_clip_run.h"
#include <sys/mman.h>
#include "pulse_log.h"


#define PULSE_CLIP_POOL     16384
#define PULSE_CLIP_SAID     65536
#define PULSE_CLIP_MARGIN   20              /* of the edge, its inverse */
#define PULSE_CLIP_FILTER   160             /* bytes of one */


typedef struct {
    const pulse_clip_plan_t  *plan;
    ngx_uint_t                duration;     /* ms of what is made */
    ngx_uint_t                percent;
} pulse_clip_edit_t;


static ngx_int_t pulse_clip_edit(int in, int out, pulse_clip_edit_t *edit,
    pulse_clip_args_t *args, pulse_clip_t *clip);
static ngx_int_t pulse_clip_captions(pulse_clip_edit_t *edit,
    pulse_clip_args_t *args, ngx_pulse_buf_t *filters, pulse_clip_t *clip);
static ngx_int_t pulse_clip_caption(const pulse_clip_caption_t *caption,
    pulse_clip_args_t *args, pulse_raster_step_t *drawn, pulse_clip_t *clip);
static void pulse_clip_place(const pulse_clip_caption_t *caption,
    const pulse_clip_t *clip, pulse_raster_step_t *step);
static void pulse_clip_filter(ngx_pulse_buf_t *filters, const char *fmt, ...);
static void pulse_clip_output(int out, pulse_clip_edit_t *edit,
    pulse_clip_args_t *args, const char *video);
static void pulse_clip_seconds(pulse_clip_args_t *args, ngx_uint_t ms);
static ngx_uint_t pulse_clip_heard(void *ctx, ngx_pulse_buf_t *out);


ngx_int_t
pulse_clip_transform(int in, int out, const pulse_clip_plan_t *plan,
    pulse_clip_t *clip)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    pulse_clip_args_t  args;
    pulse_clip_edit_t  edit;

    rc = pulse_clip_try(plan, clip, &i);
    if (rc != NGX_OK) {
        return rc;
    }

    edit.plan = plan;
    edit.duration = (plan->end ? plan->end : clip->duration) - plan->start;
    edit.percent = 0;

    memset(&args, 0, sizeof(pulse_clip_args_t));

    args.pool = ngx_create_pool(PULSE_CLIP_POOL, NULL);
    if (args.pool == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_clip_edit(in, out, &edit, &args, clip);

    /* the captions' pictures are between the clip and what is made */

    for (i = 1; i < args.nfds; i++) {
        if (args.fds[i] != out) {
            close(args.fds[i]);
        }
    }

    ngx_destroy_pool(args.pool);

    if (rc == NGX_OK) {
        rc = pulse_clip_probe(out, clip);
    }

    return rc;
}


ngx_int_t
pulse_clip_try(const pulse_clip_plan_t *plan, pulse_clip_t *clip,
    ngx_uint_t *caption)
{
    ngx_int_t             rc;
    ngx_uint_t            end, failed;
    pulse_raster_t        raster;
    pulse_raster_step_t   step;
    pulse_raster_plan_t   one;

    end = plan->end ? plan->end : clip->duration;

    clip->why = pulse_clip_outside;
    *caption = plan->ncaptions;

    if (end > clip->duration || plan->start >= end) {
        return NGX_DECLINED;
    }

    memset(&one, 0, sizeof(pulse_raster_plan_t));
    one.steps = &step;
    one.nsteps = 1;

    for (*caption = 0; *caption < plan->ncaptions; (*caption)++) {

        if (plan->captions[*caption].start >= end - plan->start) {
            return NGX_DECLINED;
        }

        memset(&raster, 0, sizeof(pulse_raster_t));
        raster.width = clip->width;
        raster.height = clip->height;

        pulse_clip_place(&plan->captions[*caption], clip, &step);

        rc = pulse_raster_try(&one, &raster, &failed);

        if (rc != NGX_OK) {
            clip->why = pulse_clip_crowded;
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_clip_edit(int in, int out, pulse_clip_edit_t *edit,
    pulse_clip_args_t *args, pulse_clip_t *clip)
{
    char              video[PULSE_CLIP_TEXT];
    ngx_int_t         rc;
    pulse_child_t     child;
    ngx_pulse_buf_t   said, filters;

    ngx_pulse_buf_init(&said, PULSE_CLIP_SAID);
    ngx_pulse_buf_init(&filters, 0);
    memset(&child, 0, sizeof(pulse_child_t));

    child.out = &said;
    child.time = pulse_clip_limits.time;
    child.cpu = pulse_clip_limits.time / 1000;
    child.heard = pulse_clip_heard;
    child.ctx = edit;

    pulse_clip_add(args, PULSE_CLIP_FFMPEG, "-nostdin", "-v", "quiet",
                   "-progress", "pipe:1", "-stats_period", "0.2",
                   "-filter_complex_threads", "1", "-threads", "1",
                   "-ss", NULL);
    pulse_clip_seconds(args, edit->plan->start);
    pulse_clip_add(args, "-t", NULL);
    pulse_clip_seconds(args, edit->duration);
    pulse_clip_input(args, in, clip);

    rc = pulse_clip_captions(edit, args, &filters, clip);

    if (rc == NGX_OK) {
        snprintf(video, sizeof(video), "[v%u]",
                 (unsigned) edit->plan->ncaptions);

        ngx_pulse_buf_char(&filters, '\0');
        args->failed |= filters.failed;

        pulse_clip_add(args, "-filter_complex", filters.data, NULL);
        pulse_clip_output(out, edit, args, video);

        rc = pulse_clip_run(args, &child, clip);
    }

    ngx_pulse_buf_free(&filters);
    ngx_pulse_buf_free(&said);

    return rc;
}


/* Captions are drawn as documents and pictures are, each as a picture of its
 * own, which ffmpeg lays over the frames of its time. */

static ngx_int_t
pulse_clip_captions(pulse_clip_edit_t *edit, pulse_clip_args_t *args,
    ngx_pulse_buf_t *filters, pulse_clip_t *clip)
{
    ngx_int_t              rc;
    ngx_uint_t             i;
    pulse_raster_step_t    drawn;
    pulse_clip_caption_t  *caption;

    /* H.264's colors are of pixels two by two */

    pulse_clip_filter(filters, "[0:V:0]crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0"
                      ",setsar=1[v0]");

    for (i = 0; i < edit->plan->ncaptions; i++) {
        caption = &edit->plan->captions[i];

        rc = pulse_clip_caption(caption, args, &drawn, clip);
        if (rc != NGX_OK) {
            return rc;
        }

        pulse_clip_filter(filters, ";[v%u][%u:v]overlay=x=%u:y=%u"
                          ":eof_action=repeat:enable='between(t,%u.%03u"
                          ",%u.%03u)'[v%u]", (unsigned) i, (unsigned) i + 1,
                          (unsigned) drawn.x, (unsigned) drawn.y,
                          (unsigned) (caption->start / 1000),
                          (unsigned) (caption->start % 1000),
                          (unsigned) (caption->end / 1000),
                          (unsigned) (caption->end % 1000),
                          (unsigned) i + 1);
    }

    return NGX_OK;
}


static ngx_int_t
pulse_clip_caption(const pulse_clip_caption_t *caption,
    pulse_clip_args_t *args, pulse_raster_step_t *drawn, pulse_clip_t *clip)
{
    int                   fd;
    ngx_int_t             rc;
    pulse_raster_t        raster;
    pulse_raster_step_t   step;

    pulse_clip_place(caption, clip, &step);

    fd = memfd_create("pulse", MFD_CLOEXEC);

    if (fd == -1) {
        pulse_log(PULSE_LOG_ERR, "pulse clip: a caption cannot be drawn: %s",
                  strerror(errno));
        return NGX_ERROR;
    }

    rc = pulse_raster_draw(fd, &step, drawn, &raster);

    if (rc != NGX_OK || args->nfds + 1 == PULSE_CHILD_FDS) {
        close(fd);

        clip->why = pulse_clip_crowded;

        return (rc == NGX_ERROR) ? NGX_ERROR : NGX_DECLINED;
    }

    pulse_clip_add(args, "-threads", "1", "-protocol_whitelist", "file",
                   "-f", "png_pipe", "-i", NULL);
    pulse_clip_fd(args, fd);

    return NGX_OK;
}


/* at the bottom, with a margin around */

static void
pulse_clip_place(const pulse_clip_caption_t *caption, const pulse_clip_t *clip,
    pulse_raster_step_t *step)
{
    memset(step, 0, sizeof(pulse_raster_step_t));

    step->step = pulse_raster_overlay;
    step->x = clip->width / PULSE_CLIP_MARGIN;
    step->y = clip->height / PULSE_CLIP_MARGIN;
    step->width = clip->width - 2 * step->x;
    step->height = clip->height - 2 * step->y;

    step->text = caption->text;
    step->text.align = pulse_raster_middle;
    step->text.valign = pulse_raster_end;
}


static void
pulse_clip_filter(ngx_pulse_buf_t *filters, const char *fmt, ...)
{
    int      n;
    char     text[PULSE_CLIP_FILTER];
    va_list  list;

    va_start(list, fmt);
    n = vsnprintf(text, sizeof(text), fmt, list);
    va_end(list);

    ngx_pulse_buf_append(filters, (u_char *) text, n);
}


/* Nothing of the original is kept but picture and sound: its tags may say
 * where it was taken. */

static void
pulse_clip_output(int out, pulse_clip_edit_t *edit, pulse_clip_args_t *args,
    const char *video)
{
    pulse_clip_add(args, "-map", video, "-map", "0:a:0?", "-sn", "-dn",
                   "-map_metadata", "-1", "-map_chapters", "-1",
                   "-c:v", "libx264", "-preset", "veryfast", "-crf", "21",
                   "-pix_fmt", "yuv420p", "-fpsmax", "60", "-threads", "2",
                   "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-t", NULL);
    pulse_clip_seconds(args, edit->duration);
    pulse_clip_add(args, "-movflags", "+faststart", "-f", "mp4", "-y", NULL);
    pulse_clip_fd(args, out);
}


static void
pulse_clip_seconds(pulse_clip_args_t *args, ngx_uint_t ms)
{
    pulse_clip_print(args, "%u.%03u", (unsigned) (ms / 1000),
                     (unsigned) (ms % 1000));
}


/* "out_time_us=" is how far it is; it may be "N/A", and less than 0 */

static ngx_uint_t
pulse_clip_heard(void *ctx, ngx_pulse_buf_t *out)
{
    pulse_clip_edit_t *edit = ctx;

    char     *p, *next;
    int64_t   us;

    ngx_pulse_buf_char(out, '\0');
    us = 0;

    for (p = out->failed ? NULL : strstr((char *) out->data, "out_time_us=");
         p; p = next)
    {
        us = strtoll(p + sizeof("out_time_us=") - 1, NULL, 10);
        next = strstr(p + 1, "out_time_us=");
    }

    /* a line that is cut here is one of several in a second */

    out->len = 0;
    out->failed = 0;

    if (us > 0) {
        us /= 10 * (int64_t) edit->duration;
        edit->percent = ngx_max(edit->percent, (ngx_uint_t) ngx_min(us, 99));
    }

    return edit->plan->progress
           && edit->plan->progress(edit->plan->ctx, edit->percent);
}
