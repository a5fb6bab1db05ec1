
#include "pulse_clip_run.h"
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include "pulse_log.h"


#define PULSE_CLIP_MEMORY  (2048UL * 1024 * 1024)   /* of addresses */


/* Of the hundreds that ffmpeg has, those of the two containers here: what is
 * in no list is not opened, whatever the file says. */

#define PULSE_CLIP_DECODERS                                                   \
    "h264,hevc,mpeg4,vp8,vp9,libdav1d,av1,libvpx,libvpx-vp9,mjpeg,aac,mp3,"   \
    "mp3float,opus,libopus,vorbis,flac,alac,ac3,pcm_s16le,pcm_s16be,"         \
    "pcm_s24le,pcm_f32le"


static const char *const  pulse_clip_demuxers[] = { "mov", "matroska" };


void
pulse_clip_add(pulse_clip_args_t *args, ...)
{
    va_list      list;
    const char  *arg;

    va_start(list, args);

    for (arg = va_arg(list, const char *); arg;
         arg = va_arg(list, const char *))
    {
        if (args->argc + 1 == PULSE_CLIP_ARGS) {
            args->failed = 1;
            break;
        }

        args->argv[args->argc++] = arg;
    }

    va_end(list);

    args->argv[args->argc] = NULL;
}


void
pulse_clip_print(pulse_clip_args_t *args, const char *fmt, ...)
{
    char     *text;
    va_list   list;

    text = ngx_pnalloc(args->pool, PULSE_CLIP_TEXT);

    if (text == NULL) {
        args->failed = 1;
        return;
    }

    va_start(list, fmt);
    vsnprintf(text, PULSE_CLIP_TEXT, fmt, list);
    va_end(list);

    pulse_clip_add(args, text, NULL);
}


void
pulse_clip_fd(pulse_clip_args_t *args, int fd)
{
    if (args->nfds == PULSE_CHILD_FDS) {
        args->failed = 1;
        return;
    }

    /* opened anew by the program: it is its own to seek in */

    pulse_clip_print(args, "file:/proc/self/fd/%d", (int) args->nfds + 3);

    args->fds[args->nfds++] = fd;
}


void
pulse_clip_input(pulse_clip_args_t *args, int fd, const pulse_clip_t *clip)
{
    pulse_clip_add(args, "-protocol_whitelist", "file",
                   "-codec_whitelist", PULSE_CLIP_DECODERS,
                   "-f", pulse_clip_demuxers[clip->type], "-i", NULL);
    pulse_clip_fd(args, fd);
}


ngx_int_t
pulse_clip_run(pulse_clip_args_t *args, pulse_child_t *child,
    pulse_clip_t *clip)
{
    ngx_int_t  rc;

    if (args->failed) {
        pulse_log(PULSE_LOG_ERR, "pulse clip: no memory for arguments");
        return NGX_ERROR;
    }

    child->argv = args->argv;
    child->fds = args->fds;
    child->nfds = args->nfds;
    child->in = -1;
    child->memory = PULSE_CLIP_MEMORY;
    child->file = pulse_clip_limits.bytes;
    child->nice = 1;

    rc = pulse_child_run(child);

    ngx_pulse_buf_free(&child->err);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (child->stopped) {
        return NGX_ABORT;
    }

    if (WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0) {
        return NGX_OK;
    }

    clip->why = pulse_clip_broken;

    if (child->late) {
        clip->why = pulse_clip_slow;

    } else if (WIFSIGNALED(child->status)
               && WTERMSIG(child->status) == SIGXFSZ)
    {
        clip->why = pulse_clip_heavy;
    }

    return NGX_DECLINED;
}
