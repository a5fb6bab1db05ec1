
#ifndef _NGX_PULSE_REDACT_H_INCLUDED_
#define _NGX_PULSE_REDACT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Providers quote our key and our account in their errors.  Stars, each in
 * the place of a character, so that a text stays as long as it was, and JSON:
 *
 *   - "key", wherever it is;
 *   - what begins as keys and accounts of vendors do ("sk-", "org-", ...);
 *   - addresses of mail;
 *   - what a word like "organization" or "project" is followed by, if it has
 *     a digit and is six characters long, and all of a member that has the
 *     name of an account.
 *
 * Only letters, digits, '-', '_', '.', '+' and '@' give way, but for names,
 * whose spaces and other characters do too; a number of JSON becomes nines.
 */
void ngx_pulse_redact(u_char *p, size_t len, const ngx_str_t *key);


#endif /* _NGX_PULSE_REDACT_H_INCLUDED_ */
