/* The C interface of drift-runtime: loads a bundle that driftc made and replays it on a GPU.
 *
 * Every function that can fail returns a drift_status; DRIFT_OK is 0. drift_last_error() says in words what
 * went wrong in the last failed call of the calling thread. No function throws, aborts or prints.
 *
 * Objects are made through an `out` parameter, which is set to NULL where making them fails, and freed with
 * their own `_free` function, which takes NULL, too. A bundle can be freed once it is loaded, a device once
 * its sessions are made. Devices may be used by several threads at once; a session by one at a time.
 *
 * Text is UTF-8 and ends with a zero byte.
 *
 * This file is written by cbindgen from runtime/c/src: change it there. */

#ifndef DRIFT_H
#define DRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 What came of a call.
 */
typedef enum {
  /*
   It did what was asked.
   */
  DRIFT_OK = 0,
  /*
   A null pointer, text that is not UTF-8, a wrong name, type or length, or calls in a wrong order.
   */
  DRIFT_INVALID_ARGUMENT = 1,
  /*
   The bundle cannot be read, is damaged, or is of another version.
   */
  DRIFT_BAD_BUNDLE = 2,
  /*
   No driver, or no device of that name.
   */
  DRIFT_NO_DEVICE = 3,
  /*
   The device lacks what every variant of the bundle requires, or the bundle has nothing for it.
   */
  DRIFT_UNSUPPORTED = 4,
  /*
   The device or the host has too little memory.
   */
  DRIFT_OUT_OF_MEMORY = 5,
  /*
   The device did not finish in time.
   */
  DRIFT_TIMEOUT = 6,
  /*
   The device was lost: free all that was made of it, open it and load the bundle again.
   */
  DRIFT_DEVICE_LOST = 7,
  /*
   The session's last run failed: load the bundle again.
   */
  DRIFT_SESSION_FAILED = 8,
  /*
   The driver failed in another way.
   */
  DRIFT_DRIVER_ERROR = 9,
  /*
   A fault of this library. Please report it.
   */
  DRIFT_INTERNAL_ERROR = 10,
} drift_status;

/*
 Type of an element of an input, output or state.
 */
typedef enum {
  /*
   IEEE single.
   */
  DRIFT_F32 = 0,
  /*
   IEEE half, in two bytes.
   */
  DRIFT_F16 = 1,
  /*
   64-bit signed integer; values must fit 32 bits.
   */
  DRIFT_I64 = 2,
  /*
   32-bit signed integer.
   */
  DRIFT_I32 = 3,
  /*
   8-bit signed integer.
   */
  DRIFT_I8 = 4,
  /*
   8-bit unsigned integer.
   */
  DRIFT_U8 = 5,
  /*
   One byte, 0 or 1.
   */
  DRIFT_BOOL = 6,
  /*
   32-bit unsigned integer.
   */
  DRIFT_U32 = 7,
  /*
   16-bit signed integer.
   */
  DRIFT_I16 = 8,
  /*
   16-bit unsigned integer.
   */
  DRIFT_U16 = 9,
  /*
   64-bit unsigned integer; values must fit 32 bits.
   */
  DRIFT_U64 = 10,
  /*
   The upper half of an IEEE single, in two bytes.
   */
  DRIFT_BF16 = 11,
  /*
   ONNX's float8e4m3fn, in a byte, as are all that follow.
   */
  DRIFT_F8E4M3 = 12,
  /*
   ONNX's float8e4m3fnuz.
   */
  DRIFT_F8E4M3FNUZ = 13,
  /*
   ONNX's float8e5m2.
   */
  DRIFT_F8E5M2 = 14,
  /*
   ONNX's float8e5m2fnuz.
   */
  DRIFT_F8E5M2FNUZ = 15,
  /*
   ONNX's float8e8m0.
   */
  DRIFT_F8E8M0 = 16,
  /*
   ONNX's float4e2m1, in the low bits.
   */
  DRIFT_F4E2M1 = 17,
  /*
   An integer from -8 to 7.
   */
  DRIFT_I4 = 18,
  /*
   An integer from 0 to 15.
   */
  DRIFT_U4 = 19,
  /*
   An integer from -2 to 1.
   */
  DRIFT_I2 = 20,
  /*
   An integer from 0 to 3.
   */
  DRIFT_U2 = 21,
} drift_element;

/*
 A bundle: what driftc made.
 */
typedef struct drift_bundle drift_bundle;

/*
 A GPU, or another device that replays.
 */
typedef struct drift_device drift_device;

/*
 A loaded entry of a bundle.
 */
typedef struct drift_session drift_session;

/*
 What to enable in a Vulkan device for a bundle.
 */
typedef struct drift_vulkan_features drift_vulkan_features;

/*
 A Vulkan device of the app's own. Set all of it to zero and `size` to its size. Instance and device stay until all that was made of
 them here is freed.
 */
typedef struct {
  /*
   sizeof(drift_vulkan)
   */
  size_t size;
  /*
   vkGetInstanceProcAddr
   */
  const void *get_instance_proc_addr;
  /*
   VkInstance
   */
  void *instance;
  /*
   `apiVersion` that the instance was made for: 1.1 at least.
   */
  uint32_t api_version;
  /*
   VkPhysicalDevice
   */
  void *physical_device;
  /*
   VkDevice, made with what drift_vulkan_features_extensions and drift_vulkan_features_chain say; not needed before.
   */
  void *device;
  /*
   VkQueue of the device, which takes compute work.
   */
  void *queue;
  /*
   The family of the queue.
   */
  uint32_t queue_family;
  /*
   Called with `user` before each submission to the queue, where other threads use it as well; else NULL.
   */
  void (*lock)(void *user);
  /*
   Called with `user` after it.
   */
  void (*unlock)(void *user);
  /*
   For `lock` and `unlock`, which any thread may call that uses a session.
   */
  void *user;
} drift_vulkan;

/*
 How to load. Set all of it to zero and `size` to its size: what is zero has its default. Later versions add members at the
 end.
 */
typedef struct {
  /*
   sizeof(drift_load_options)
   */
  size_t size;
  /*
   Entry to load; NULL for `main`, or else the first.
   */
  const char *entry;
  /*
   Variant to load, if the device has what it requires; NULL for the first such.
   */
  const char *variant;
  /*
   Folder in which compiled kernels are kept for the next load; NULL for none.
   */
  const char *cache_dir;
  /*
   Most milliseconds that one run or read takes; 0 for ten minutes.
   */
  uint64_t timeout_ms;
  /*
   Most milliseconds that loading waits for the device; 0 for ten minutes.
   */
  uint64_t load_timeout_ms;
  /*
   Compare weights with their hashes.
   */
  bool verify_weights;
  /*
   The bundle comes from somebody who is not to be trusted: the device checks every access.
   */
  bool untrusted;
  /*
   Take GPU times, for drift_session_gpu_seconds.
   */
  bool timestamps;
  /*
   Take a variant only if its self-test passes on the device; what was found is kept in `cache_dir`.
   */
  bool self_test;
} drift_load_options;

/*
 An input, output or state: dense, row-major. Its memory belongs to the session.
 */
typedef struct {
  /*
   Name, as the model writes it.
   */
  const char *name;
  /*
   Type of its elements.
   */
  drift_element element;
  /*
   Number of sizes.
   */
  size_t rank;
  /*
   Sizes, outermost first.
   */
  const uint64_t *shape;
  /*
   Bytes of all elements: what drift_session_write and drift_session_read take. Those of a state may be more: what
   drift_session_write_state and drift_session_read_state take.
   */
  size_t bytes;
} drift_tensor;

/*
 A dim of the model whose size is free. Its name belongs to the session.
 */
typedef struct {
  /*
   Name, as the model writes it.
   */
  const char *name;
  /*
   The least size that it may have.
   */
  uint64_t low;
  /*
   The greatest, which it has until another one is set.
   */
  uint64_t high;
  /*
   What its sizes are multiples of.
   */
  uint64_t step;
  /*
   The size that it has.
   */
  uint64_t size;
} drift_dim;

/*
 What a buffer has to be that an input or output can be in: dense, row-major, of elements as the device computes with them.
 */
typedef struct {
  /*
   Type of an element on the device.
   */
  drift_element element;
  /*
   Where the first element is, in bytes from the start that the app chooses.
   */
  uint64_t offset;
  /*
   Bytes from that start on, padding included.
   */
  uint64_t bytes;
  /*
   What that start is a multiple of.
   */
  uint64_t alignment;
  /*
   An input is there.
   */
  bool is_input;
  /*
   An output is there.
   */
  bool is_output;
  /*
   VkBufferUsageFlags that a buffer of Vulkan needs; 0 without Vulkan.
   */
  uint32_t vulkan_usage;
} drift_need;

/*
 A buffer of the app's own for an input or output.
 */
typedef struct {
  /*
   Name of the input or output.
   */
  const char *tensor;
  /*
   On an OpenCL device the cl_mem, of which the session keeps a reference; else NULL.
   */
  void *opencl;
  /*
   On a Vulkan device the VkBuffer, which has to stay until the session is freed; else 0.
   */
  uint64_t vulkan;
  /*
   `size` of the VkBufferCreateInfo.
   */
  uint64_t vulkan_size;
  /*
   `usage` of the VkBufferCreateInfo.
   */
  uint32_t vulkan_usage;
  /*
   Where in the buffer its bytes begin.
   */
  uint64_t offset;
} drift_buffer;

/*
 Called when a run is over, on a thread of the library: with `user`, and with how it went and words for that (of a failure), which are
 valid until it returns. The session may be used in it; it should return soon, since other runs wait behind it.
 */
typedef void (*drift_run_done)(void *user, drift_status status, const char *message);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Words for the last call of this thread that failed, or an empty text. Valid until another call of this thread fails.
 */
const char *drift_last_error(void);

/*
 Version of the library: `0.1.0`.
 */
const char *drift_version(void);

/*
 Opens a bundle file and checks it; weights are read when it is loaded.
 */
drift_status drift_bundle_open(const char *path, drift_bundle **out);

/*
 Opens a bundle that is in memory, as a resource of the app for instance, without copying it. The memory must stay as it
 is until the bundle is freed.
 */
drift_status drift_bundle_from_memory(const uint8_t *data,
                                      size_t bytes,
                                      drift_bundle **out);

/*
 Frees a bundle.
 */
void drift_bundle_free(drift_bundle *bundle);

/*
 Opens a device of a kind: "vulkan", "opencl", ... `device` is its number among those or a part of its name that is no number,
 as `driftc devices` prints them, or NULL for the best.
 */
drift_status drift_device_open(const char *kind,
                               const char *device,
                               drift_device **out);

/*
 Opens the best device that replays the bundle.
 */
drift_status drift_device_open_for(const drift_bundle *bundle, drift_device **out);

/*
 The driver's name for the device, or NULL for NULL. Valid until the device is freed.
 */
const char *drift_device_name(const drift_device *device);

/*
 Driver and its version, or NULL for NULL. Valid until the device is freed.
 */
const char *drift_device_driver(const drift_device *device);

/*
 Its kind, as drift_device_open takes it, or NULL for NULL. Valid until the device is freed.
 */
const char *drift_device_kind(const drift_device *device);

/*
 Frees a device. Sessions that were loaded on it keep it open.
 */
void drift_device_free(drift_device *device);

/*
 Finds out what a bundle may need of a physical device, before the device is made: of `vulkan`, the loader, the instance, its
 version and the physical device are looked at.
 */
drift_status drift_vulkan_features_required(const drift_vulkan *vulkan,
                                            const drift_bundle *bundle,
                                            drift_vulkan_features **out);

/*
 Names of device extensions to enable, whose number `count` is set to. They are valid until the features are freed.
 */
const char *const *drift_vulkan_features_extensions(const drift_vulkan_features *features,
                                                    size_t *count);

/*
 A VkPhysicalDeviceFeatures2 with what is chained to it, for `pNext` of VkDeviceCreateInfo; NULL once the device is taken. Valid until
 the features are freed.
 */
const void *drift_vulkan_features_chain(const drift_vulkan_features *features);

/*
 Frees features.
 */
void drift_vulkan_features_free(drift_vulkan_features *features);

/*
 Replays on a Vulkan device of the app's own that was made with these features, which are used up: free them afterwards.
 */
drift_status drift_device_from_vulkan(const drift_vulkan *vulkan,
                                      drift_vulkan_features *features,
                                      drift_device **out);

/*
 Replays in an OpenCL context of the app's own: cl_context, cl_device_id and cl_command_queue, in order. It keeps references to them.
 */
drift_status drift_device_from_opencl(void *context,
                                      void *device,
                                      void *queue,
                                      drift_device **out);

/*
 Loads an entry of a bundle for a device. `options` may be NULL.
 */
drift_status drift_session_load(const drift_device *device,
                                const drift_bundle *bundle,
                                const drift_load_options *options,
                                drift_session **out);

/*
 Loads `count` entries of a bundle into the same memory: weights and states of one name are there once. `entries` are their
 names, and `out` has a place for each session. The runs of the sessions take turns, and outputs have to be read before
 another of them runs. The entry in `options`, which may be NULL, is not looked at.
 */
drift_status drift_session_load_entries(const drift_device *device,
                                        const drift_bundle *bundle,
                                        const char *const *entries,
                                        size_t count,
                                        const drift_load_options *options,
                                        drift_session **out);

/*
 Frees a session. A run that is on its way is called off, as by drift_session_cancel.
 */
void drift_session_free(drift_session *session);

/*
 Number of inputs; 0 for NULL.
 */
size_t drift_session_input_count(const drift_session *session);

/*
 Number of outputs; 0 for NULL.
 */
size_t drift_session_output_count(const drift_session *session);

/*
 Describes an input. What it points to is valid until the session is freed; sizes are those of now, and others after
 drift_session_set_dim.
 */
drift_status drift_session_input(const drift_session *session,
                                 size_t index,
                                 drift_tensor *out);

/*
 Describes an output. What it points to is valid until the session is freed; sizes are those of now, and others after
 drift_session_set_dim.
 */
drift_status drift_session_output(const drift_session *session,
                                  size_t index,
                                  drift_tensor *out);

/*
 Sets an input from `bytes` bytes of its own type. Its values are used by every run until they are set again.
 */
drift_status drift_session_write(drift_session *session, const char *name, const uint8_t *data, size_t bytes);

/*
 Runs the entry once and waits for it.
 */
drift_status drift_session_run(drift_session *session);

/*
 Runs the entry `count` times and waits for the last: each run begins when the one before has ended, without the host between. What
 changes from run to run is what states hold.
 */
drift_status drift_session_run_times(drift_session *session,
                                     uint32_t count);

/*
 Copies an output of the last run into `bytes` bytes of its own type.
 */
drift_status drift_session_read(drift_session *session, const char *name, uint8_t *into, size_t bytes);

/*
 Seconds that the last run took on the GPU, where `timestamps` asked for them.
 */
drift_status drift_session_gpu_seconds(drift_session *session, double *out);

/*
 Number of dims whose sizes are free; 0 for NULL.
 */
size_t drift_session_dim_count(const drift_session *session);

/*
 Describes a dim whose size is free. Its name is valid until the session is freed.
 */
drift_status drift_session_dim(const drift_session *session, size_t index, drift_dim *out);

/*
 Sets the size of a dim from the next run on. Inputs and outputs have other sizes then: ask for them again, write those inputs
 again that have changed, and run before an output is read.
 */
drift_status drift_session_set_dim(drift_session *session,
                                   const char *name,
                                   uint64_t size);

/*
 Says what a buffer has to be for the input or output `name` of what `options`, which may be NULL, load.
 */
drift_status drift_device_need(const drift_device *device,
                               const drift_bundle *bundle,
                               const drift_load_options *options,
                               const char *name,
                               drift_need *out);

/*
 As drift_session_load, with inputs and outputs in buffers of the app's own: `count` of them, on the device's own context
 (drift_device_from_vulkan, drift_device_from_opencl).
 */
drift_status drift_session_load_onto(const drift_device *device,
                                     const drift_bundle *bundle,
                                     const drift_load_options *options,
                                     const drift_buffer *buffers,
                                     size_t count,
                                     drift_session **out);

/*
 Begins a run and returns; `done` is called when it is over. Until then nothing but drift_session_cancel and drift_session_free may
 be called with the session: calls fail with DRIFT_INVALID_ARGUMENT.
 */
drift_status drift_session_run_async(drift_session *session,
                                     drift_run_done done,
                                     void *user);

/*
 Calls a run off, if there is one: its callback is not called any more. Where another thread is in it, this waits until it has
 returned. `called`, which may be NULL, is set to whether it was called. The device finishes what it was given, and the next
 call with the session waits for that.
 */
drift_status drift_session_cancel(drift_session *session,
                                  bool *called);

/*
 Number of states; 0 for NULL.
 */
size_t drift_session_state_count(const drift_session *session);

/*
 Describes a state: what runs keep for the next one. Its `bytes` are those on the device. What it points to is valid until the
 session is freed.
 */
drift_status drift_session_state(const drift_session *session,
                                 size_t index,
                                 drift_tensor *out);

/*
 Zeros all states, for the sessions that share them as well.
 */
drift_status drift_session_reset_state(drift_session *session);

/*
 Copies what a state holds, as it is on the device, into `bytes` bytes: to save it.
 */
drift_status drift_session_read_state(drift_session *session, const char *name, uint8_t *into, size_t bytes);

/*
 Replaces what a state holds, for the sessions that share it as well, by `bytes` bytes that drift_session_read_state gave for the
 same bundle, variant and kind of device.
 */
drift_status drift_session_write_state(drift_session *session,
                                       const char *name,
                                       const uint8_t *data,
                                       size_t bytes);

/*
 Runs the self-test of what drift_session_load takes with the same options, which may be NULL. `right` gets whether all
 samples are right, and `report`, which may be NULL, a report in JSON for the user to send: device, driver, shader and
 difference. It is valid until the next self-test of this thread. A bundle without self-tests is DRIFT_UNSUPPORTED.
 */
drift_status drift_device_self_test(const drift_device *device,
                                    const drift_bundle *bundle,
                                    const drift_load_options *options,
                                    bool *right,
                                    const char **report);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DRIFT_H */
