
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include "pulse_address.h"


typedef struct {
    uint32_t  address;
    unsigned  bits;
} pulse_address_net_t;


static ngx_uint_t pulse_address_public4(uint32_t address);
static ngx_uint_t pulse_address_public6(const u_char *p);
static uint32_t pulse_address_number(const u_char *p);


/* RFC 6890 and those after it */

static const pulse_address_net_t  pulse_address_nets[] = {
    { 0x00000000, 8 },              /* this network */
    { 0x0a000000, 8 },              /* private */
    { 0x64400000, 10 },             /* shared by carriers */
    { 0x7f000000, 8 },              /* loopback */
    { 0xa9fe0000, 16 },             /* link-local */
    { 0xac100000, 12 },             /* private */
    { 0xc0000000, 24 },             /* protocols */
    { 0xc0000200, 24 },             /* documentation */
    { 0xc0586300, 24 },             /* relays of 6to4 */
    { 0xc0a80000, 16 },             /* private */
    { 0xc6120000, 15 },             /* measurements */
    { 0xc6336400, 24 },             /* documentation */
    { 0xcb007100, 24 },             /* documentation */
    { 0xe0000000, 3 }               /* multicast, reserved, broadcast */
};


ngx_uint_t
pulse_address_public(const struct sockaddr *sa)
{
    switch (sa->sa_family) {

    case AF_INET:
        return pulse_address_public4(
                   ntohl(((struct sockaddr_in *) sa)->sin_addr.s_addr));

    case AF_INET6:
        return pulse_address_public6(
                   ((struct sockaddr_in6 *) sa)->sin6_addr.s6_addr);

    default:
        return 0;
    }
}


static ngx_uint_t
pulse_address_public4(uint32_t address)
{
    ngx_uint_t  i;

    for (i = 0;
         i < sizeof(pulse_address_nets) / sizeof(pulse_address_nets[0]); i++)
    {
        if ((address ^ pulse_address_nets[i].address)
            >> (32 - pulse_address_nets[i].bits) == 0)
        {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
pulse_address_public6(const u_char *p)
{
    static const u_char  mapped[] = "\0\0\0\0\0\0\0\0\0\0\xff\xff";
    static const u_char  translated[] = "\0\x64\xff\x9b\0\0\0\0\0\0\0\0";

    /* addresses of IPv4 as those of IPv6, by the network or on the way */

    if (memcmp(p, mapped, 12) == 0 || memcmp(p, translated, 12) == 0) {
        return pulse_address_public4(pulse_address_number(p + 12));
    }

    if (p[0] == 0x20 && p[1] == 0x02) {
        return pulse_address_public4(pulse_address_number(p + 2));
    }

    /* all that is global, less Teredo, what is not routed, and examples */

    return (p[0] & 0xe0) == 0x20
           && !(p[0] == 0x20 && p[1] == 0x01 && p[2] < 0x02)
           && !(p[0] == 0x20 && p[1] == 0x01 && p[2] == 0x0d && p[3] == 0xb8)
           && !(p[0] == 0x3f && p[1] == 0xff && p[2] < 0x10);
}


static uint32_t
pulse_address_number(const u_char *p)
{
    return (uint32_t) p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}


ngx_uint_t
pulse_address_loopback(const struct sockaddr *sa)
{
    switch (sa->sa_family) {

    case AF_INET:
        return ntohl(((struct sockaddr_in *) sa)->sin_addr.s_addr) >> 24
               == 127;

    case AF_INET6:
        return memcmp(&((struct sockaddr_in6 *) sa)->sin6_addr,
                      &in6addr_loopback, sizeof(in6addr_loopback)) == 0;

    default:
        return 0;
    }
}


ngx_uint_t
pulse_address_listed(const char *host, const char *const *hosts)
{
    size_t  len, name;

    len = strlen(host);

    for ( /* void */ ; *hosts; hosts++) {

        if (strcasecmp(host, *hosts) == 0) {
            return 1;
        }

        name = strlen(*hosts);

        if (**hosts == '.' && len > name
            && strcasecmp(host + len - name, *hosts) == 0)
        {
            return 1;
        }
    }

    return 0;
}
