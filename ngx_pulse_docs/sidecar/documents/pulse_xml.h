
#ifndef _PULSE_XML_H_INCLUDED_
#define _PULSE_XML_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


#define PULSE_XML_HEAD                                                        \
    "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"


/* Appends text of an element or of an attribute in double quotes: "<", ">",
 * "&", the quote and line ends as references (XML 1.0, 2.4, 3.3.3).  The text
 * is valid UTF-8 without the characters XML excludes (pulse_bidi_clean()). */
void pulse_xml_text(ngx_pulse_buf_t *b, const ngx_str_t *text);

/*
 * Appends a format of literals and "%s" (ngx_str_t *, escaped), "%t" (const
 * char *, as it is) and "%d" (ngx_int_t).  A "%" is written "%%".
 */
void pulse_xml_format(ngx_pulse_buf_t *b, const char *format, ...);


#endif /* _PULSE_XML_H_INCLUDED_ */
