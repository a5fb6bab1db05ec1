
#ifndef _PULSE_CV_H_INCLUDED_
#define _PULSE_CV_H_INCLUDED_


#include "pulse_document.h"
#include "pulse_form.h"


typedef enum {
    pulse_cv_summary = 0,
    pulse_cv_work,
    pulse_cv_education,
    pulse_cv_skills,
    pulse_cv_projects,
    pulse_cv_certificates,
    pulse_cv_awards,
    pulse_cv_publications,
    pulse_cv_volunteer,
    pulse_cv_languages,
    pulse_cv_interests,
    pulse_cv_references,
    pulse_cv_sections
} pulse_cv_section_e;


/* A day, or 0 for the parts that were not said. */

typedef struct {
    ngx_uint_t           year;
    ngx_uint_t           month;
    ngx_uint_t           day;
} pulse_cv_date_t;


/* One thing of any section; each section has its own use of few members. */

typedef struct {
    ngx_str_t            title;         /* position, degree, name, skill */
    ngx_str_t            detail;        /* level, fluency, area */
    ngx_str_t            organization;
    ngx_str_t            place;
    ngx_str_t            score;
    ngx_str_t            url;
    ngx_str_t            summary;       /* paragraphs end with '\n' */
    ngx_str_t           *items;         /* highlights */
    ngx_uint_t           nitems;
    ngx_str_t           *words;         /* keywords, set in one line */
    ngx_uint_t           nwords;
    pulse_cv_date_t      start;
    pulse_cv_date_t      end;
} pulse_cv_entry_t;


typedef struct {
    ngx_str_t            label;         /* len 0: the usual heading */
    pulse_cv_entry_t    *entries;
    ngx_uint_t           nentries;
} pulse_cv_section_t;


typedef struct {
    ngx_str_t            name;
    ngx_str_t            headline;
    ngx_str_t            email;
    ngx_str_t            phone;
    ngx_str_t            place;
    ngx_str_t            url;
    ngx_str_t           *links;
    ngx_uint_t           nlinks;

    pulse_cv_section_t   sections[pulse_cv_sections];
    pulse_cv_section_e   order[pulse_cv_sections];
    ngx_uint_t           norder;

    ngx_str_t            language;      /* BCP 47, with a country */
    pulse_template_e     template;
    pulse_font_e         font;
    uint32_t             accent;
    unsigned             arabic:1;
    unsigned             pdf:1;
    unsigned             letter:1;
    unsigned             digits:1;      /* those of Arabic, U+0660.. */
    unsigned             levant:1;      /* names of the months */

    pulse_warnings_t     warnings;
} pulse_cv_t;


/*
 * Reads a request of POST /v1/cv/generate: the studio's own form, or a JSON
 * Resume v1 document (jsonresume.org) with "meta" for what it has no place
 * for.  "locale" is used where the request names none.  What is wrong is in
 * "form"; the result is its pool's, and form->rc must be asked.
 */
void pulse_cv_read(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *locale, pulse_cv_t *cv);

/* What the CV says in paragraphs, in the order of its sections.  The
 * document is the pool's and refers to the CV.  NULL: no memory. */
pulse_document_t *pulse_cv_document(ngx_pool_t *pool, const pulse_cv_t *cv);


#endif /* _PULSE_CV_H_INCLUDED_ */
