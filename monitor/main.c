#include "monitor.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int usage(void) {
    dprintf(1, "usage: gantry-monitor monitor [--log PATH [--log-max-size BYTES] [--log-max-files N] [--log-compress]]\n"
               "         [--log-remote ADDRESS --log-format FORMAT [--log-facility N] [--log-tag TAG] [--log-host NAME] [--log-octets]]\n"
               "         [--log-buffer BYTES] [--oom PATH] [--tty [--width N --height N]] [--stdin [--stdin-once]]\n"
               "         [--uid N --gid N] -- RUNTIME [ARGUMENT...]\n"
               "       gantry-monitor enter [--attached] [--stdin [--stdin-once]] [--uid N --gid N]\n"
               "       gantry-monitor init [--] COMMAND [ARGUMENT...]\n");
    return 2;
}

static bool parse(int argc, char **argv, struct options *options) {
    enum {
        LOG, LOG_MAX_SIZE, LOG_MAX_FILES, LOG_COMPRESS, LOG_REMOTE, LOG_FORMAT, LOG_FACILITY, LOG_TAG, LOG_HOST, LOG_OCTETS,
        LOG_BUFFER,
        OOM, TTY, WIDTH, HEIGHT, STDIN, STDIN_ONCE, ATTACHED, UID, GID,
    };
    static const struct option known[] = {
        {"log", required_argument, NULL, LOG},
        {"log-max-size", required_argument, NULL, LOG_MAX_SIZE},
        {"log-max-files", required_argument, NULL, LOG_MAX_FILES},
        {"log-compress", no_argument, NULL, LOG_COMPRESS},
        {"log-remote", required_argument, NULL, LOG_REMOTE},
        {"log-format", required_argument, NULL, LOG_FORMAT},
        {"log-facility", required_argument, NULL, LOG_FACILITY},
        {"log-tag", required_argument, NULL, LOG_TAG},
        {"log-host", required_argument, NULL, LOG_HOST},
        {"log-octets", no_argument, NULL, LOG_OCTETS},
        {"log-buffer", required_argument, NULL, LOG_BUFFER},
        {"oom", required_argument, NULL, OOM},
        {"tty", no_argument, NULL, TTY},
        {"width", required_argument, NULL, WIDTH},
        {"height", required_argument, NULL, HEIGHT},
        {"stdin", no_argument, NULL, STDIN},
        {"stdin-once", no_argument, NULL, STDIN_ONCE},
        {"attached", no_argument, NULL, ATTACHED},
        {"uid", required_argument, NULL, UID},
        {"gid", required_argument, NULL, GID},
        {NULL, 0, NULL, 0},
    };
    for (int which; (which = getopt_long(argc, argv, "+", known, NULL)) >= 0;) {
        switch (which) {
        case LOG: options->log_path = optarg; break;
        case LOG_MAX_SIZE: options->log_max_size = strtoull(optarg, NULL, 10); break;
        case LOG_MAX_FILES: options->log_max_files = (unsigned)strtoul(optarg, NULL, 10); break;
        case LOG_COMPRESS: options->log_compress = true; break;
        case LOG_REMOTE: options->log_remote = optarg; break;
        case LOG_FORMAT: options->log_format = optarg; break;
        case LOG_FACILITY: options->log_facility = (int)strtol(optarg, NULL, 10); break;
        case LOG_TAG: options->log_tag = optarg; break;
        case LOG_HOST: options->log_host = optarg; break;
        case LOG_OCTETS: options->log_octets = true; break;
        case LOG_BUFFER: options->log_buffer = strtoull(optarg, NULL, 10); break;
        case OOM: options->oom_path = optarg; break;
        case TTY: options->tty = true; break;
        case WIDTH: options->width = (unsigned short)strtoul(optarg, NULL, 10); break;
        case HEIGHT: options->height = (unsigned short)strtoul(optarg, NULL, 10); break;
        case STDIN: options->open_stdin = true; break;
        case STDIN_ONCE: options->stdin_once = true; break;
        case ATTACHED: options->attached = true; break;
        case UID: options->uid = (uid_t)strtoul(optarg, NULL, 10); break;
        case GID: options->gid = (gid_t)strtoul(optarg, NULL, 10); break;
        default: return false;
        }
    }
    options->command = argv + optind;
    return true;
}

/* Cuts every tie with the daemon but what it is to be heard by: session, signals, descriptors from `first` on. */
static void detach(unsigned first) {
    static const int ignored[] = {SIGHUP, SIGPIPE, SIGTERM, SIGINT, SIGQUIT, SIGTTOU};
    setsid();
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
    syscall(SYS_close_range, first, ~0u, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* Not the kernel's first choice when memory is short; the container gets its own value from its spec. */
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (write(fd, "-998", 4) < 0) { /* needs CAP_SYS_RESOURCE: then it stays as it is */
    }
    close(fd);
}

int main(int argc, char **argv) {
    struct options options = {0};
    const char *name = strrchr(argv[0], '/') == NULL ? argv[0] : strrchr(argv[0], '/') + 1;
    bool as_init = strcmp(name, "docker-init") == 0;
    if (as_init || (argc > 1 && strcmp(argv[1], "init") == 0)) {
        char **command = argv + (as_init ? 1 : 2);
        if (command[0] != NULL && strcmp(command[0], "--") == 0) command++;
        return init_main(command);
    }
    bool enters = argc > 1 && strcmp(argv[1], "enter") == 0;
    if (argc < 2 || (!enters && strcmp(argv[1], "monitor") != 0) || !parse(argc - 1, argv + 1, &options)) return usage();
    if (enters == (options.command[0] != NULL)) return usage();
    detach(!enters ? 3 : options.attached ? ATTACHER_FD + 1 : CONTROL_FD + 1);
    if (enters && (options.entry = read_entry(CONTROL_FD)) == NULL) return 1;
    return serve(&options);
}
