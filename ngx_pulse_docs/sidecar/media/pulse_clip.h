
#ifndef _PULSE_CLIP_H_INCLUDED_
#define _PULSE_CLIP_H_INCLUDED_


#include "pulse_raster.h"


/*
 * Short clips of video, by ffmpeg: a process of its own for each, with the
 * least: no shell, no network, nothing inherited but the files it works on,
 * limits of time, memory and output.  Which demuxer reads a file is decided
 * here, by its first bytes, and no other one is allowed: a file that names
 * others (playlists, lists to be joined, scripts) is refused.
 *
 * Files are descriptors as in pulse_raster.h.  Functions return
 *
 *   NGX_OK        it is done
 *   NGX_DECLINED  the clip is refused, clip->why says why
 *   NGX_ABORT     the job was told to stop
 *   NGX_ERROR     with a line in the log
 */


#define PULSE_CLIP_CODEC  32


typedef enum {
    pulse_clip_mp4 = 0,                 /* and QuickTime */
    pulse_clip_webm                     /* and Matroska */
} pulse_clip_type_e;


typedef enum {
    pulse_clip_unknown = 0,             /* neither MP4 nor WebM */
    pulse_clip_broken,
    pulse_clip_heavy,                   /* too many bytes */
    pulse_clip_large,                   /* too many pixels of a frame */
    pulse_clip_long,                    /* too many seconds */
    pulse_clip_still,                   /* no picture that moves */
    pulse_clip_slow,                    /* past its time or memory */
    pulse_clip_outside,                 /* asked for what it does not have */
    pulse_clip_crowded                  /* a caption does not fit */
} pulse_clip_why_e;


typedef struct {
    pulse_clip_type_e    type;
    ngx_uint_t           duration;      /* ms */
    ngx_uint_t           width;         /* as it is seen, turned */
    ngx_uint_t           height;
    char                 video[PULSE_CLIP_CODEC];
    char                 audio[PULSE_CLIP_CODEC];   /* "": it is silent */
    pulse_clip_why_e     why;
} pulse_clip_t;


typedef struct {
    size_t               bytes;         /* of a file, in and out */
    size_t               pixels;        /* of a frame */
    ngx_uint_t           duration;      /* ms */
    ngx_uint_t           time;          /* ms that an edit may take */
} pulse_clip_limits_t;


typedef struct {
    ngx_uint_t           start;         /* ms of the clip that is made */
    ngx_uint_t           end;
    pulse_raster_text_t  text;
} pulse_clip_caption_t;


typedef struct {
    ngx_uint_t             start;       /* ms */
    ngx_uint_t             end;         /* 0: to its end */
    pulse_clip_caption_t  *captions;
    ngx_uint_t             ncaptions;

    /* called several times a second, from 0 to 100; 1 ends it */

    ngx_uint_t           (*progress)(void *ctx, ngx_uint_t percent);
    void                  *ctx;
} pulse_clip_plan_t;


/* To be changed before threads start. */
extern pulse_clip_limits_t  pulse_clip_limits;


/* Type, codecs, size and duration; within pulse_clip_limits, or others. */
ngx_int_t pulse_clip_probe(int in, pulse_clip_t *clip);
ngx_int_t pulse_clip_probe_within(int in, const pulse_clip_limits_t *limits,
    pulse_clip_t *clip);

/* A JPEG of the frame at "at" ms, or, where there is none, of the first; no
 * edge is longer than PULSE_RASTER_THUMBNAIL.  "clip" is as the probe left
 * it. */
ngx_int_t pulse_clip_poster(int in, int out, ngx_uint_t at,
    pulse_clip_t *clip);

/* Whether a plan is possible for a clip that was probed, without reading it;
 * NGX_DECLINED with the caption that is not in "*caption", or ncaptions for
 * the trim. */
ngx_int_t pulse_clip_try(const pulse_clip_plan_t *plan, pulse_clip_t *clip,
    ngx_uint_t *caption);

/* Writes an MP4 (H.264, AAC); "clip" is as the probe left it, and tells of
 * the result then. */
ngx_int_t pulse_clip_transform(int in, int out,
    const pulse_clip_plan_t *plan, pulse_clip_t *clip);

/* "video/mp4" and so on. */
const char *pulse_clip_content_type(pulse_clip_type_e type);

/* Why it was refused, for people. */
const char *pulse_clip_reason(pulse_clip_why_e why, ngx_uint_t arabic);


#endif /* _PULSE_CLIP_H_INCLUDED_ */
