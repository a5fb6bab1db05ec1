
#include "pulse_clip_run.h"
#include <sys/stat.h>


#define PULSE_CLIP_HEAD  12
#define PULSE_CLIP_SAID  16384              /* bytes of ffprobe */
#define PULSE_CLIP_POOL  4096


static ngx_int_t pulse_clip_type(int in, const pulse_clip_limits_t *limits,
    pulse_clip_t *clip);
static ngx_int_t pulse_clip_ask(int in, pulse_clip_t *clip,
    ngx_pulse_buf_t *said);
static void pulse_clip_read(char *said, pulse_clip_t *clip);
static void pulse_clip_stream(char *stream, pulse_clip_t *clip);
static const char *pulse_clip_value(const char *text, const char *name);
static void pulse_clip_name(char *name, const char *value);
static ngx_int_t pulse_clip_check(const pulse_clip_limits_t *limits,
    pulse_clip_t *clip);
static ngx_int_t pulse_clip_frame(int in, int out, ngx_uint_t at,
    pulse_clip_t *clip);


pulse_clip_limits_t  pulse_clip_limits = {
    .bytes = 100 * 1024 * 1024,
    .pixels = 1920 * 1088,
    .duration = 60000,
    .time = 300000
};


static const char *const  pulse_clip_types[] = { "video/mp4", "video/webm" };


/* as pulse_clip_why_e has them */

static const char *const  pulse_clip_reasons[][2] = {
    { "is no MP4 or WebM",
      "ليس مقطع MP4 أو WebM." },
    { "is broken, or has a codec that is not known here",
      "المقطع تالف أو ترميزه غير مدعوم." },
    { "has too many bytes",
      "حجم ملف المقطع أكبر من المسموح." },
    { "has too many pixels",
      "أبعاد المقطع أكبر من المسموح." },
    { "is too long",
      "المقطع أطول من المسموح." },
    { "has no moving picture",
      "لا يحتوي الملف على فيديو." },
    { "takes too long to work on",
      "تستغرق معالجة المقطع وقتًا أطول من المسموح." },
    { "does not have what was asked for",
      "يتجاوز المطلوب حدود المقطع." },
    { "has no room for a caption",
      "لا يتسع الفيديو للترجمة." }
};


ngx_int_t
pulse_clip_probe(int in, pulse_clip_t *clip)
{
    return pulse_clip_probe_within(in, &pulse_clip_limits, clip);
}


ngx_int_t
pulse_clip_probe_within(int in, const pulse_clip_limits_t *limits,
    pulse_clip_t *clip)
{
    ngx_int_t        rc;
    ngx_pulse_buf_t  said;

    memset(clip, 0, sizeof(pulse_clip_t));

    rc = pulse_clip_type(in, limits, clip);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_pulse_buf_init(&said, PULSE_CLIP_SAID);

    rc = pulse_clip_ask(in, clip, &said);

    if (rc == NGX_OK) {
        ngx_pulse_buf_char(&said, '\0');

        if (said.failed) {
            clip->why = pulse_clip_broken;
            rc = NGX_DECLINED;

        } else {
            pulse_clip_read((char *) said.data, clip);
            rc = pulse_clip_check(limits, clip);
        }
    }

    ngx_pulse_buf_free(&said);

    return rc;
}


/* by the first box of an ISO file (ISO 14496-12, 4.3), by EBML's header (RFC
 * 8794, 11.2.1) */

static ngx_int_t
pulse_clip_type(int in, const pulse_clip_limits_t *limits, pulse_clip_t *clip)
{
    u_char       head[PULSE_CLIP_HEAD];
    struct stat  sb;

    if (fstat(in, &sb) == -1) {
        return NGX_ERROR;
    }

    if ((size_t) sb.st_size > limits->bytes) {
        clip->why = pulse_clip_heavy;
        return NGX_DECLINED;
    }

    clip->why = pulse_clip_unknown;

    if (pread(in, head, sizeof(head), 0) != sizeof(head)) {
        return NGX_DECLINED;
    }

    if (memcmp(head + 4, "ftyp", 4) == 0) {
        clip->type = pulse_clip_mp4;
        return NGX_OK;
    }

    if (memcmp(head, "\x1a\x45\xdf\xa3", 4) == 0) {
        clip->type = pulse_clip_webm;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
pulse_clip_ask(int in, pulse_clip_t *clip, ngx_pulse_buf_t *said)
{
    ngx_int_t          rc;
    pulse_child_t      child;
    pulse_clip_args_t  args;

    memset(&child, 0, sizeof(pulse_child_t));
    memset(&args, 0, sizeof(pulse_clip_args_t));

    child.out = said;
    child.time = PULSE_CLIP_LOOK;
    child.cpu = PULSE_CLIP_LOOK / 1000;

    args.pool = ngx_create_pool(PULSE_CLIP_POOL, NULL);
    if (args.pool == NULL) {
        return NGX_ERROR;
    }

    pulse_clip_add(&args, PULSE_CLIP_FFPROBE, "-v", "quiet",
                   "-of", "default", "-show_entries",
                   "format=duration:stream=codec_type,codec_name,width,height"
                   ":stream_disposition=attached_pic"
                   ":stream_side_data=rotation", NULL);
    pulse_clip_input(&args, in, clip);

    rc = pulse_clip_run(&args, &child, clip);

    ngx_destroy_pool(args.pool);

    return rc;
}


static void
pulse_clip_read(char *said, pulse_clip_t *clip)
{
    char        *p, *end;
    const char  *value;

    for (p = strstr(said, "[STREAM]"); p; p = strstr(end + 1, "[STREAM]")) {
        end = strstr(p, "[/STREAM]");

        if (end == NULL) {
            return;
        }

        *end = '\0';
        pulse_clip_stream(p, clip);
        *end = '[';
    }

    p = strstr(said, "[FORMAT]");
    value = p ? pulse_clip_value(p, "duration") : NULL;

    if (value) {
        clip->duration = strtod(value, NULL) * 1000 + 0.5;
    }
}


/* the first of each kind; a cover is no picture that moves */

static void
pulse_clip_stream(char *stream, pulse_clip_t *clip)
{
    ngx_uint_t   swap;
    const char  *type, *codec, *value;

    type = pulse_clip_value(stream, "codec_type");
    codec = pulse_clip_value(stream, "codec_name");
    value = pulse_clip_value(stream, "DISPOSITION:attached_pic");

    if (type == NULL || codec == NULL || (value && *value == '1')) {
        return;
    }

    if (strncmp(type, "audio", 5) == 0 && clip->audio[0] == '\0') {
        pulse_clip_name(clip->audio, codec);
    }

    if (strncmp(type, "video", 5) != 0 || clip->video[0]) {
        return;
    }

    pulse_clip_name(clip->video, codec);

    value = pulse_clip_value(stream, "width");
    clip->width = value ? strtoul(value, NULL, 10) : 0;

    value = pulse_clip_value(stream, "height");
    clip->height = value ? strtoul(value, NULL, 10) : 0;

    value = pulse_clip_value(stream, "rotation");

    if (value && labs(strtol(value, NULL, 10)) % 180 == 90) {
        swap = clip->width;
        clip->width = clip->height;
        clip->height = swap;
    }
}


/* what follows "name=" at the begin of a line, or NULL */

static const char *
pulse_clip_value(const char *text, const char *name)
{
    size_t       len;
    const char  *p;

    len = strlen(name);

    for (p = strchr(text, '\n'); p; p = strchr(p, '\n')) {
        p++;

        if (strncmp(p, name, len) == 0 && p[len] == '=') {
            return p + len + 1;
        }
    }

    return NULL;
}


static void
pulse_clip_name(char *name, const char *value)
{
    snprintf(name, PULSE_CLIP_CODEC, "%.*s", (int) strcspn(value, "\n"),
             value);
}


static ngx_int_t
pulse_clip_check(const pulse_clip_limits_t *limits, pulse_clip_t *clip)
{
    if (clip->video[0] == '\0') {
        clip->why = pulse_clip_still;

    } else if (clip->width == 0 || clip->height == 0 || clip->duration == 0) {
        clip->why = pulse_clip_broken;

    } else if (clip->width > PULSE_RASTER_EDGE
               || clip->height > PULSE_RASTER_EDGE
               || clip->width * clip->height > limits->pixels)
    {
        clip->why = pulse_clip_large;

    } else if (clip->duration > limits->duration) {
        clip->why = pulse_clip_long;

    } else {
        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_int_t
pulse_clip_poster(int in, int out, ngx_uint_t at, pulse_clip_t *clip)
{
    ngx_int_t    rc;
    struct stat  sb;

    rc = pulse_clip_frame(in, out, at, clip);

    /* a picture may end before the sound does */

    if (rc == NGX_OK && at && fstat(out, &sb) == 0 && sb.st_size == 0) {
        rc = pulse_clip_frame(in, out, 0, clip);
    }

    if (rc == NGX_OK && fstat(out, &sb) == 0 && sb.st_size == 0) {
        clip->why = pulse_clip_broken;
        rc = NGX_DECLINED;
    }

    return rc;
}


static ngx_int_t
pulse_clip_frame(int in, int out, ngx_uint_t at, pulse_clip_t *clip)
{
    ngx_int_t          rc;
    pulse_child_t      child;
    ngx_pulse_buf_t    said;
    pulse_clip_args_t  args;

    memset(&child, 0, sizeof(pulse_child_t));
    memset(&args, 0, sizeof(pulse_clip_args_t));
    ngx_pulse_buf_init(&said, PULSE_CLIP_SAID);

    child.out = &said;
    child.time = PULSE_CLIP_LOOK;
    child.cpu = PULSE_CLIP_LOOK / 1000;

    args.pool = ngx_create_pool(PULSE_CLIP_POOL, NULL);
    if (args.pool == NULL) {
        return NGX_ERROR;
    }

    pulse_clip_add(&args, PULSE_CLIP_FFMPEG, "-nostdin", "-v", "quiet",
                   "-threads", "1", "-ss", NULL);
    pulse_clip_print(&args, "%u.%03u", (unsigned) (at / 1000),
                     (unsigned) (at % 1000));
    pulse_clip_input(&args, in, clip);
    pulse_clip_add(&args, "-map", "0:V:0", "-frames:v", "1", "-vf", NULL);
    pulse_clip_print(&args, "scale=%d:%d"
                     ":force_original_aspect_ratio=decrease",
                     (int) ngx_min(clip->width, PULSE_RASTER_THUMBNAIL),
                     (int) ngx_min(clip->height, PULSE_RASTER_THUMBNAIL));
    pulse_clip_add(&args, "-c:v", "mjpeg", "-q:v", "3", "-threads", "1",
                   "-f", "mjpeg", "-y", NULL);
    pulse_clip_fd(&args, out);

    rc = pulse_clip_run(&args, &child, clip);

    ngx_destroy_pool(args.pool);
    ngx_pulse_buf_free(&said);

    return rc;
}


const char *
pulse_clip_content_type(pulse_clip_type_e type)
{
    return pulse_clip_types[type];
}


const char *
pulse_clip_reason(pulse_clip_why_e why, ngx_uint_t arabic)
{
    return pulse_clip_reasons[why][arabic];
}
