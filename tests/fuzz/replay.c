/* Without libFuzzer: run the target once over each file of a corpus folder, so that what a fuzzer
 * found stays found. An empty corpus is a failure: it would test nothing. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A block of just the file's size, so that a sanitizer sees a read beyond it. */
static int replay(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    uint8_t *data = size < 0 ? NULL : malloc((size_t)size + (size == 0));
    if (!data || pread(fd, data, (size_t)size, 0) != (ssize_t)size)
        return perror(name), 1;
    close(fd);
    printf("%s\n", name);
    fflush(stdout); /* the last name is the one that crashed */
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    if (!d)
        return fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]), 2;
    int n = 0, failed = 0;
    for (const struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            failed |= replay(dirfd(d), e->d_name);
            n++;
        }
    closedir(d);
    return failed || !n;
}
