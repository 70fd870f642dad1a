/* Look-ups that may go over a network or to another process, and the few other calls that take as
 * long as somebody else likes: never tried. */
#include "tools/python/calls_try.h"

#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/types.h>
#include <syslog.h>

void __syslog_chk(int, int, const char *, ...) __attribute__((format(printf, 3, 4)));
void __vsyslog_chk(int, int, const char *, va_list) __attribute__((format(printf, 3, 0)));

PY_BLOCKS(int, getaddrinfo,
          (const char *node, const char *service, const struct addrinfo *hints,
           struct addrinfo **result),
          (node, service, hints, result))
PY_BLOCKS(int, getnameinfo,
          (const struct sockaddr *address, socklen_t size, char *host, socklen_t host_size,
           char *service, socklen_t service_size, int flags),
          (address, size, host, host_size, service, service_size, flags))
PY_BLOCKS(int, gethostbyname_r,
          (const char *name, struct hostent *entry, char *buf, size_t size, struct hostent **result,
           int *error),
          (name, entry, buf, size, result, error))
PY_BLOCKS(int, gethostbyaddr_r,
          (const void *address, socklen_t address_size, int type, struct hostent *entry, char *buf,
           size_t size, struct hostent **result, int *error),
          (address, address_size, type, entry, buf, size, result, error))
PY_BLOCKS(struct servent *, getservbyname, (const char *name, const char *protocol),
          (name, protocol))
PY_BLOCKS(struct servent *, getservbyport, (int port, const char *protocol), (port, protocol))
PY_BLOCKS(struct protoent *, getprotobyname, (const char *name), (name))
PY_BLOCKS(int, getpwnam_r,
          (const char *name, struct passwd *entry, char *buf, size_t size, struct passwd **result),
          (name, entry, buf, size, result))
PY_BLOCKS(int, getpwuid_r,
          (uid_t uid, struct passwd *entry, char *buf, size_t size, struct passwd **result),
          (uid, entry, buf, size, result))
PY_BLOCKS(int, getgrnam_r,
          (const char *name, struct group *entry, char *buf, size_t size, struct group **result),
          (name, entry, buf, size, result))
PY_BLOCKS(int, getgrgid_r,
          (gid_t gid, struct group *entry, char *buf, size_t size, struct group **result),
          (gid, entry, buf, size, result))
PY_BLOCKS(int, system, (const char *command), (command))

PY_BLOCKS(void, vsyslog, (int priority, const char *format, va_list list), (priority, format, list))
PY_BLOCKS(void, __vsyslog_chk, (int priority, int flag, const char *format, va_list list),
          (priority, flag, format, list))

PY_WRAPPER void syslog(int priority, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsyslog(priority, format, list);
    va_end(list);
}

PY_WRAPPER void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    __vsyslog_chk(priority, flag, format, list);
    va_end(list);
}
