/*
 * The pure half of the shim: bytes in, bytes out.  Frames to and from the
 * service, environment look-ups, the configuration file, error JSON.
 *
 * Not a codec for anybody else (the service's is protocol/wire.py), and no
 * input or output: all of it also runs hosted, under the sanitizers.  Buffers
 * belong to the caller; strings that are returned point into the input.
 */
#ifndef CNIF_SHIM_FRAME_H
#define CNIF_SHIM_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHIM_HEADER_SIZE 16u
#define SHIM_ROOT_SIZE   16u
#define SHIM_PREFIX_MAX  (64u * 1024u)   /* identities, names and environment */
#define SHIM_STDIN_MAX   (1024u * 1024u) /* the network configuration */
#define SHIM_PAYLOAD_MAX (SHIM_PREFIX_MAX + SHIM_STDIN_MAX)

#define SHIM_MAGIC        0x46494e43u
#define SHIM_WIRE_VERSION 1u
#define SHIM_FLAG_NETNS   1u /* the second descriptor is what CNI_NETNS names */
#define SHIM_FLAG_COMMAND 2u /* a command of networks, with its words as standard input */

enum shim_kind {
    SHIM_REQUEST = 1,
    SHIM_RESULT = 2,
    SHIM_RUN_COLD = 3,
};

/* Codes of the CNI specification that the shim itself reports. */
enum shim_code {
    SHIM_INVALID_ENVIRONMENT = 4,
    SHIM_IO_FAILURE = 5,
    SHIM_DECODING_FAILURE = 6,
    SHIM_INVALID_CONFIG = 7,
    SHIM_TRY_AGAIN_LATER = 11,
    SHIM_INTERNAL = 999,
};

enum shim_mode {
    SHIM_MODE_UNSET,
    SHIM_MODE_AUTO,
    SHIM_MODE_OFF,
    SHIM_MODE_REQUIRED,
    SHIM_MODE_INVALID,
};

/* A caller-owned buffer.  A put that does not fit sets `overflow` and writes nothing. */
struct shim_buf {
    char *data;
    size_t size;
    size_t len;
    bool overflow;
};

/* What tells a root directory from those of all other processes. */
struct shim_root {
    uint64_t mount; /* its number, which is of one mount namespace, and the device */
    uint64_t inode;
};

struct shim_answer {
    enum shim_kind kind;
    uint32_t length; /* of the payload */
};

/* Points into the text that was parsed; NULL where the file says nothing. */
struct shim_config {
    enum shim_mode mode;
    const char *socket;
    size_t socket_len;
};

size_t shim_strlen(const char *s);
bool shim_streq(const char *a, const char *b);

void shim_put(struct shim_buf *b, const void *data, size_t len);
void shim_put_text(struct shim_buf *b, const char *s);     /* without the NUL */
void shim_put_string(struct shim_buf *b, const char *s);   /* with the NUL */
void shim_put_number(struct shim_buf *b, unsigned long n); /* decimal text */

/* The last component of argv[0]; "" when there is none. */
const char *shim_plugin_name(const char *argv0);

/* The versions of the specification that `plugin` speaks, oldest first. */
void shim_put_versions(struct shim_buf *b, const char *plugin, const char *separator);

/* The value of `name`, NULL when absent.  Of several entries the first counts. */
const char *shim_env_get(char *const envp[], const char *name);

/* Is this "KEY=VALUE" entry one that the service is told about? */
bool shim_env_forwarded(const char *entry);

/* The same for a command. */
bool shim_env_of_command(const char *entry);

/*
 * Start a request: room for the header and the root directory's identity, then
 * build id, plugin, environment, terminator.  Standard input follows.
 */
void shim_request_begin(struct shim_buf *b, const char *build, const char *plugin,
                        char *const envp[], bool (*forwarded)(const char *entry));

/* Fill in what was left open; b->len is then the length of the whole frame. */
void shim_request_end(struct shim_buf *b, const struct shim_root *root, uint32_t flags);

/* Read an answer's header.  False when it is none of ours. */
bool shim_answer_header(const char header[SHIM_HEADER_SIZE], struct shim_answer *ret);

/* "auto", "off", "required"; NULL or "" is SHIM_MODE_UNSET. */
enum shim_mode shim_mode_parse(const char *s, size_t len);

/* The top-level `service` and `socket` strings of config.toml; the rest is not ours. */
void shim_config_parse(const char *text, size_t len, struct shim_config *ret);

/* The directory part of an absolute path.  False when it does not fit or is not absolute. */
bool shim_dirname(const char *path, char *ret_dir, size_t size);

/*
 * The recursion guard names, separated by ':', the plugins of this call that run
 * in the cold path further up.  Is `plugin` one of them?
 */
bool shim_guard_has(const char *guard, const char *plugin);

/* One line of CNI error JSON; `parts` ends with NULL. */
void shim_put_error(struct shim_buf *b, enum shim_code code, const char *const parts[]);

/* "ENOENT" and so on, "errno 123" for the uncommon; `room` holds the latter. */
const char *shim_errno_name(long code, char room[24]);

#endif
