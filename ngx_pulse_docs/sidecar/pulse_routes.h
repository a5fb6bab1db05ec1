
#ifndef _PULSE_ROUTES_H_INCLUDED_
#define _PULSE_ROUTES_H_INCLUDED_


#include "pulse_http.h"


/* What the sidecar answers: what needs nothing, and what was added before the
 * start because what it needs is there. */
pulse_http_route_t *pulse_routes(void);

void pulse_routes_add(const pulse_http_route_t *routes);

extern const pulse_http_route_t  pulse_routes_files[];
extern const pulse_http_route_t  pulse_routes_images[];
extern const pulse_http_route_t  pulse_routes_payments[];
extern const pulse_http_route_t  pulse_routes_video[];


#endif /* _PULSE_ROUTES_H_INCLUDED_ */
