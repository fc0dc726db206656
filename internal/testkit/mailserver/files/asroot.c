/*
 * Lets Postfix run under an ordinary user: its programs insist on starting as root and on changing to other users.
 * Preloaded into them, this keeps the answers they expect in variables; every file stays owned by the real user.
 */
#include <sys/types.h>
#include <unistd.h>

static uid_t real_user, effective_user;
static gid_t real_group, effective_group;

uid_t getuid(void) { return real_user; }
uid_t geteuid(void) { return effective_user; }
gid_t getgid(void) { return real_group; }
gid_t getegid(void) { return effective_group; }
int setuid(uid_t user) { real_user = effective_user = user; return 0; }
int seteuid(uid_t user) { effective_user = user; return 0; }
int setgid(gid_t group) { real_group = effective_group = group; return 0; }
int setegid(gid_t group) { effective_group = group; return 0; }
int setgroups(size_t size, const gid_t *list) { (void)size; (void)list; return 0; }
int initgroups(const char *user, gid_t group) { (void)user; (void)group; return 0; }
int chown(const char *path, uid_t user, gid_t group) { (void)path; (void)user; (void)group; return 0; }
int fchown(int file, uid_t user, gid_t group) { (void)file; (void)user; (void)group; return 0; }
