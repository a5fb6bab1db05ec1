
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "ngx_pulse_moderation.h"


void
ngx_pulse_moderation_hash(const ngx_str_t *key, const u_char *p, size_t len,
    u_char hash[NGX_PULSE_MODERATION_HASH])
{
    u_char        mac[NGX_PULSE_MODERATION_HASH / 2];
    ngx_uint_t    i;
    unsigned int  n;

    static const char  hex[] = "0123456789abcdef";

    /* it fails without memory only: the line then has no hash */

    if (HMAC(EVP_sha256(), key->data, (int) key->len, p, len, mac, &n)
        == NULL)
    {
        ngx_memzero(mac, sizeof(mac));
    }

    for (i = 0; i < NGX_PULSE_MODERATION_HASH; i += 2) {
        hash[i] = hex[mac[i / 2] >> 4];
        hash[i + 1] = hex[mac[i / 2] & 0x0f];
    }
}
