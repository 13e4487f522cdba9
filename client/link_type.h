/*
 * link_type - names of LINKTYPE_ values as tcpdump prints them.
 */
#ifndef CLIENT_LINK_TYPE_H
#define CLIENT_LINK_TYPE_H

#include <stddef.h>
#include <stdint.h>

enum { LINK_TYPE_TEXT_LEN = 48 };

/* "EN10MB" into dst, or the number. */
void link_type_name(uint32_t link_type, char *dst, size_t size);

/* "EN10MB (Ethernet)" into dst, or the number. */
void link_type_text(uint32_t link_type, char *dst, size_t size);

#endif /* CLIENT_LINK_TYPE_H */
