/* Replays a bundle: replay BUNDLE [INPUT=FILE]... [OUTPUT:FILE]...
 *
 * Files hold the raw bytes of a tensor in its own type. Inputs without a file are zeros. */
#include "drift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program with what the library says where a call failed. */
static void check(drift_status status, const char *doing) {
    if (status != DRIFT_OK) {
        fprintf(stderr, "%s: error %d: %s\n", doing, (int)status, drift_last_error());
        exit(1);
    }
}

/* The file that the arguments name for a tensor, or NULL. */
static const char *file_of(int argc, char **argv, const char *name, char separator) {
    size_t length = strlen(name);
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], name, length) == 0 && argv[i][length] == separator) {
            return argv[i] + length + 1;
        }
    }
    return NULL;
}

static void read_file(const char *path, unsigned char *into, size_t bytes) {
    FILE *file = fopen(path, "rb");
    if (!file || fread(into, 1, bytes, file) != bytes || fgetc(file) != EOF) {
        fprintf(stderr, "%s: cannot be read, or has not %zu bytes\n", path, bytes);
        exit(1);
    }
    fclose(file);
}

static void write_file(const char *path, const unsigned char *from, size_t bytes) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(from, 1, bytes, file) != bytes || fclose(file) != 0) {
        fprintf(stderr, "%s: cannot be written\n", path);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s BUNDLE [INPUT=FILE]... [OUTPUT:FILE]...\n", argv[0]);
        return 2;
    }
    drift_bundle *bundle = NULL;
    drift_device *device = NULL;
    drift_session *session = NULL;
    check(drift_bundle_open(argv[1], &bundle), "opening the bundle");
    check(drift_device_open_for(bundle, &device), "opening a device");
    printf("device %s (%s)\n", drift_device_name(device), drift_device_kind(device));

    drift_load_options options = {0};
    options.size = sizeof options;
    check(drift_session_load(device, bundle, &options, &session), "loading");
    /* The session keeps what it needs of both. */
    drift_bundle_free(bundle);
    drift_device_free(device);

    for (size_t i = 0; i < drift_session_input_count(session); i++) {
        drift_tensor input;
        check(drift_session_input(session, i, &input), "asking for an input");
        unsigned char *data = calloc(input.bytes + 1, 1);
        const char *path = file_of(argc, argv, input.name, '=');
        if (path) {
            read_file(path, data, input.bytes);
        }
        check(drift_session_write(session, input.name, data, input.bytes), input.name);
        free(data);
    }
    check(drift_session_run(session), "running");
    for (size_t i = 0; i < drift_session_output_count(session); i++) {
        drift_tensor output;
        check(drift_session_output(session, i, &output), "asking for an output");
        unsigned char *data = malloc(output.bytes + 1);
        check(drift_session_read(session, output.name, data, output.bytes), output.name);
        printf("%s:", output.name);
        for (size_t axis = 0; axis < output.rank; axis++) {
            printf(" %llu", (unsigned long long)output.shape[axis]);
        }
        printf("\n");
        const char *path = file_of(argc, argv, output.name, ':');
        if (path) {
            write_file(path, data, output.bytes);
        }
        free(data);
    }
    drift_session_free(session);
    return 0;
}
