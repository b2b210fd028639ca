// SPDX-License-Identifier: Apache-2.0
//
// Bytes that grow.
#ifndef FSC_PACK_BUFFER_H
#define FSC_PACK_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct buffer {
	char *bytes;
	size_t size, room;
};

// Room for so many bytes behind what is there. Returns false without memory.
static inline bool buffer_reserve(struct buffer *buffer, size_t more)
{
	if (buffer->size + more <= buffer->room)
		return true;
	size_t room = buffer->room ? buffer->room : 256;
	while (room < buffer->size + more)
		room *= 2;
	char *larger = realloc(buffer->bytes, room);
	if (!larger)
		return false;
	buffer->bytes = larger;
	buffer->room = room;
	return true;
}

static inline bool buffer_add(struct buffer *buffer, const void *bytes, size_t size)
{
	if (!buffer_reserve(buffer, size))
		return false;
	if (size)
		memcpy(buffer->bytes + buffer->size, bytes, size);
	buffer->size += size;
	return true;
}

static inline void buffer_release(struct buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct buffer){0};
}

#endif
