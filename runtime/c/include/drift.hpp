/* drift for C++17: objects that free themselves, errors as exceptions. Header only, over drift.h. */
#ifndef DRIFT_HPP
#define DRIFT_HPP

#include "drift.h"

#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace drift {

/* What a call failed with. */
class error : public std::runtime_error {
  public:
    error(drift_status status, const char *message) : std::runtime_error(message), status_(status) {}
    drift_status status() const noexcept { return status_; }

  private:
    drift_status status_;
};

namespace detail {

inline void check(drift_status status) {
    if (status != DRIFT_OK) {
        throw error(status, drift_last_error());
    }
}

template <typename T, void (*Free)(T *)> struct freed_by {
    void operator()(T *object) const noexcept { Free(object); }
};

template <typename T, void (*Free)(T *)> using owned = std::unique_ptr<T, freed_by<T, Free>>;

/* The element type that a C++ type stands for. */
template <typename T> constexpr drift_element element_of() {
    if constexpr (std::is_same_v<T, float>) {
        return DRIFT_F32;
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
        return DRIFT_I64;
    } else if constexpr (std::is_same_v<T, std::int32_t>) {
        return DRIFT_I32;
    } else if constexpr (std::is_same_v<T, std::uint64_t>) {
        return DRIFT_U64;
    } else if constexpr (std::is_same_v<T, std::uint32_t>) {
        return DRIFT_U32;
    } else if constexpr (std::is_same_v<T, std::int16_t>) {
        return DRIFT_I16;
    } else if constexpr (std::is_same_v<T, std::uint16_t>) {
        return DRIFT_U16;
    } else if constexpr (std::is_same_v<T, std::int8_t>) {
        return DRIFT_I8;
    } else {
        static_assert(std::is_same_v<T, std::uint8_t>, "use write_raw and read_raw for other types");
        return DRIFT_U8;
    }
}

} // namespace detail

/* What driftc made. */
class bundle {
  public:
    static bundle open(const std::string &path) {
        drift_bundle *made = nullptr;
        detail::check(drift_bundle_open(path.c_str(), &made));
        return bundle(made);
    }

    /* Without a copy: the memory must outlive the bundle. */
    static bundle from_memory(const void *data, std::size_t bytes) {
        drift_bundle *made = nullptr;
        detail::check(drift_bundle_from_memory(static_cast<const std::uint8_t *>(data), bytes, &made));
        return bundle(made);
    }

    const drift_bundle *get() const noexcept { return object_.get(); }

  private:
    explicit bundle(drift_bundle *made) : object_(made) {}
    detail::owned<drift_bundle, drift_bundle_free> object_;
};

/* What to enable in a Vulkan device of the app's for a bundle. */
class vulkan_features {
  public:
    vulkan_features(const drift_vulkan &vulkan, const bundle &bundle) {
        drift_vulkan_features *made = nullptr;
        detail::check(drift_vulkan_features_required(&vulkan, bundle.get(), &made));
        object_.reset(made);
    }

    /* Names for `ppEnabledExtensionNames` of VkDeviceCreateInfo. */
    std::vector<const char *> extensions() const {
        std::size_t count = 0;
        const char *const *names = drift_vulkan_features_extensions(object_.get(), &count);
        return {names, names + count};
    }

    /* For `pNext` of VkDeviceCreateInfo. */
    const void *chain() const noexcept { return drift_vulkan_features_chain(object_.get()); }
    drift_vulkan_features *get() const noexcept { return object_.get(); }

  private:
    detail::owned<drift_vulkan_features, drift_vulkan_features_free> object_;
};

/* A GPU, or another device that replays. */
class device {
  public:
    static device open(const char *kind, const char *name = nullptr) {
        drift_device *made = nullptr;
        detail::check(drift_device_open(kind, name, &made));
        return device(made);
    }

    static device open_for(const bundle &bundle) {
        drift_device *made = nullptr;
        detail::check(drift_device_open_for(bundle.get(), &made));
        return device(made);
    }

    /* In an OpenCL context of the app's: cl_context, cl_device_id and cl_command_queue. */
    static device from_opencl(void *context, void *id, void *queue) {
        drift_device *made = nullptr;
        detail::check(drift_device_from_opencl(context, id, queue, &made));
        return device(made);
    }

    /* On a Vulkan device of the app's, which was made with these features. */
    static device from_vulkan(const drift_vulkan &vulkan, vulkan_features features) {
        drift_device *made = nullptr;
        detail::check(drift_device_from_vulkan(&vulkan, features.get(), &made));
        return device(made);
    }

    /* What a buffer of the app's has to be for an input or output. */
    drift_need need(const bundle &bundle, const char *name, const drift_load_options *options = nullptr) const {
        drift_need found;
        detail::check(drift_device_need(object_.get(), bundle.get(), options, name, &found));
        return found;
    }

    /* Whether the device computes right what would be loaded; `report`, if given, gets the report in JSON. */
    bool self_test(const bundle &bundle, const drift_load_options *options = nullptr,
                   std::string *report = nullptr) const {
        bool right = false;
        const char *json = nullptr;
        detail::check(drift_device_self_test(object_.get(), bundle.get(), options, &right, &json));
        if (report != nullptr) {
            *report = json;
        }
        return right;
    }

    std::string name() const { return drift_device_name(object_.get()); }
    std::string kind() const { return drift_device_kind(object_.get()); }
    const drift_device *get() const noexcept { return object_.get(); }

  private:
    explicit device(drift_device *made) : object_(made) {}
    detail::owned<drift_device, drift_device_free> object_;
};

/* An input, output or state. */
struct tensor {
    std::string name;
    drift_element element;
    std::vector<std::uint64_t> shape;
    std::size_t bytes;
};

/* A dim of the model whose size is free. */
struct dim {
    std::string name;
    std::uint64_t low;
    std::uint64_t high;
    std::uint64_t step;
    std::uint64_t size;
};

/* A loaded entry; one thread at a time. */
class session {
  public:
    static session load(const device &device, const bundle &bundle, const drift_load_options *options = nullptr) {
        drift_session *made = nullptr;
        detail::check(drift_session_load(device.get(), bundle.get(), options, &made));
        return session(made);
    }

    /* With inputs and outputs in buffers of the app's own. */
    static session load_onto(const device &device, const bundle &bundle, const std::vector<drift_buffer> &buffers,
                             const drift_load_options *options = nullptr) {
        drift_session *made = nullptr;
        detail::check(drift_session_load_onto(device.get(), bundle.get(), options, buffers.data(), buffers.size(), &made));
        return session(made);
    }

    /* Several entries in the same memory: weights and states of one name are there once. */
    static std::vector<session> load_entries(const device &device, const bundle &bundle,
                                             const std::vector<const char *> &entries,
                                             const drift_load_options *options = nullptr) {
        std::vector<drift_session *> made(entries.size());
        detail::check(drift_session_load_entries(device.get(), bundle.get(), entries.data(), entries.size(), options,
                                                 made.data()));
        std::vector<session> sessions;
        sessions.reserve(made.size());
        for (drift_session *one : made) {
            sessions.push_back(session(one));
        }
        return sessions;
    }

    std::vector<tensor> inputs() const {
        return tensors(drift_session_input_count(object_.get()), drift_session_input);
    }

    std::vector<tensor> outputs() const {
        return tensors(drift_session_output_count(object_.get()), drift_session_output);
    }

    /* What runs keep for the next one. */
    std::vector<tensor> states() const {
        return tensors(drift_session_state_count(object_.get()), drift_session_state);
    }

    /* Dims of the model whose sizes are free. */
    std::vector<dim> dims() const {
        std::vector<dim> made;
        for (std::size_t index = 0; index < drift_session_dim_count(object_.get()); index++) {
            drift_dim found;
            detail::check(drift_session_dim(object_.get(), index, &found));
            made.push_back({found.name, found.low, found.high, found.step, found.size});
        }
        return made;
    }

    /* Sets the size of a dim from the next run on; inputs that have another shape then have to be written again. */
    void set_dim(const char *name, std::uint64_t size) {
        detail::check(drift_session_set_dim(object_.get(), name, size));
    }

    template <typename T> void write(const char *name, const std::vector<T> &values) {
        expect(inputs(), name, detail::element_of<T>());
        write_raw(name, values.data(), values.size() * sizeof(T));
    }

    void write_raw(const char *name, const void *data, std::size_t bytes) {
        detail::check(drift_session_write(object_.get(), name, static_cast<const std::uint8_t *>(data), bytes));
    }

    void run() { detail::check(drift_session_run(object_.get())); }

    /* Runs so many times, without the host between: what changes from run to run is what states hold. */
    void run_times(std::uint32_t count) { detail::check(drift_session_run_times(object_.get(), count)); }

    /* Begins a run; the future is ready when it is over. Until then the session may be cancelled or destroyed, and no more. */
    std::future<void> run_async() {
        cancel();
        done_ = std::make_unique<std::promise<void>>();
        std::future<void> future = done_->get_future();
        detail::check(drift_session_run_async(object_.get(), finish, done_.get()));
        return future;
    }

    /* Calls a run off, whose future then holds a broken promise; whether it was over already. */
    bool cancel() {
        bool called = false;
        detail::check(drift_session_cancel(object_.get(), &called));
        if (!called) {
            done_.reset();
        }
        return called;
    }

    template <typename T> std::vector<T> read(const char *name) {
        std::vector<T> values(expect(outputs(), name, detail::element_of<T>()) / sizeof(T));
        read_raw(name, values.data(), values.size() * sizeof(T));
        return values;
    }

    void read_raw(const char *name, void *into, std::size_t bytes) {
        detail::check(drift_session_read(object_.get(), name, static_cast<std::uint8_t *>(into), bytes));
    }

    void reset_state() { detail::check(drift_session_reset_state(object_.get())); }

    /* What a state holds, as it is on the device. */
    std::vector<std::uint8_t> read_state(const char *name) {
        std::vector<std::uint8_t> bytes;
        for (const tensor &state : states()) {
            if (state.name == name) {
                bytes.resize(state.bytes);
            }
        }
        detail::check(drift_session_read_state(object_.get(), name, bytes.data(), bytes.size()));
        return bytes;
    }

    void write_state(const char *name, const std::vector<std::uint8_t> &bytes) {
        detail::check(drift_session_write_state(object_.get(), name, bytes.data(), bytes.size()));
    }

    /* Seconds of the last run on the GPU, where the options asked for `timestamps`. */
    double gpu_seconds() {
        double seconds = 0;
        detail::check(drift_session_gpu_seconds(object_.get(), &seconds));
        return seconds;
    }

  private:
    explicit session(drift_session *made) : object_(made) {}

    static void finish(void *user, drift_status status, const char *message) noexcept {
        auto *done = static_cast<std::promise<void> *>(user);
        if (status == DRIFT_OK) {
            done->set_value();
        } else {
            done->set_exception(std::make_exception_ptr(error(status, message)));
        }
    }

    template <typename Ask> std::vector<tensor> tensors(std::size_t count, Ask ask) const {
        std::vector<tensor> made;
        for (std::size_t index = 0; index < count; index++) {
            drift_tensor found;
            detail::check(ask(object_.get(), index, &found));
            made.push_back({found.name, found.element, {found.shape, found.shape + found.rank}, found.bytes});
        }
        return made;
    }

    /* Bytes of a tensor, which has to be of that type. */
    static std::size_t expect(const std::vector<tensor> &tensors, const std::string &name, drift_element element) {
        for (const tensor &tensor : tensors) {
            if (tensor.name == name) {
                if (tensor.element != element) {
                    throw error(DRIFT_INVALID_ARGUMENT, ("`" + name + "` holds elements of another type").c_str());
                }
                return tensor.bytes;
            }
        }
        throw error(DRIFT_INVALID_ARGUMENT, ("there is no `" + name + "`").c_str());
    }

    /* Freed after the session, which may still keep it. */
    std::unique_ptr<std::promise<void>> done_;
    detail::owned<drift_session, drift_session_free> object_;
};

} // namespace drift

#endif
