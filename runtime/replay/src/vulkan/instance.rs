//! The Vulkan loader, an instance, and the validation layer where it is asked for.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::ffi::{CStr, c_void};

use ash::{ext, khr, vk};

use super::failed;
use crate::error::RuntimeError;
use crate::info::DeviceKind;
use crate::validation_log::ValidationLog;

const VALIDATION_LAYER: &CStr = c"VK_LAYER_KHRONOS_validation";

/// A Vulkan instance, of version 1.1 or later.
pub(crate) struct Instance {
    pub(crate) raw: ash::Instance,
    messenger: Option<(ext::debug_utils::Instance, vk::DebugUtilsMessengerEXT)>,
    // Boxed, because the messenger holds its address.
    log: Box<ValidationLog>,
    pub(crate) entry: ash::Entry,
    is_the_apps: bool,
}

impl Instance {
    /// Finds the loader and creates an instance; [`RuntimeError::NoDriver`] where there is none.
    pub(crate) fn new(validation: bool) -> Result<Self, RuntimeError> {
        // SAFETY: the loader is the system's own; its initialisers are trusted as those of any shared library
        // are.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| no_driver(error.to_string()))?;
        Self::on(entry, validation)
    }

    /// Creates an instance of this loader.
    pub(crate) fn on(entry: ash::Entry, validation: bool) -> Result<Self, RuntimeError> {
        // SAFETY: `entry` is loaded, here and below.
        let version = unsafe { entry.try_enumerate_instance_version() }
            .map_err(failed("reading the loader's version"))?;
        if version.is_none_or(|version| version < vk::API_VERSION_1_1) {
            return Err(no_driver("the Vulkan loader is older than 1.1".to_owned()));
        }
        let validate = validation && has_layer(&entry)?;
        let log = Box::new(ValidationLog::new(validate));
        let raw = create(&entry, validate, &log)?;
        let mut instance = Self { raw, messenger: None, log, entry, is_the_apps: false };
        if validate {
            instance.attach_messenger()?;
        }
        Ok(instance)
    }

    /// An instance that is left to the app.
    pub(crate) fn of_the_app(entry: ash::Entry, raw: ash::Instance) -> Self {
        Self { raw, messenger: None, log: Box::default(), entry, is_the_apps: true }
    }

    pub(crate) fn validation_log(&self) -> ValidationLog {
        (*self.log).clone()
    }

    fn attach_messenger(&mut self) -> Result<(), RuntimeError> {
        let debug = ext::debug_utils::Instance::new(&self.entry, &self.raw);
        let info = messenger_info(&self.log);
        // SAFETY: the instance has the extension, and the log outlives the messenger, which `drop` destroys
        // first.
        let messenger = unsafe { debug.create_debug_utils_messenger(&info, None) }
            .map_err(failed("attaching to the validation layer"))?;
        self.messenger = Some((debug, messenger));
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: devices hold the instance in an `Arc`ed context and are destroyed before it; the messenger
        // belongs to it.
        unsafe {
            if let Some((debug, messenger)) = self.messenger.take() {
                debug.destroy_debug_utils_messenger(messenger, None);
            }
            if !self.is_the_apps {
                self.raw.destroy_instance(None);
            }
        }
    }
}

fn no_driver(reason: String) -> RuntimeError {
    RuntimeError::NoDriver { kind: DeviceKind::Vulkan, reason }
}

fn has_layer(entry: &ash::Entry) -> Result<bool, RuntimeError> {
    // SAFETY: `entry` is loaded.
    let layers = unsafe { entry.enumerate_instance_layer_properties() }.map_err(failed("listing layers"))?;
    Ok(layers.iter().any(|layer| layer.layer_name_as_c_str() == Ok(VALIDATION_LAYER)))
}

fn create(entry: &ash::Entry, validate: bool, log: &ValidationLog) -> Result<ash::Instance, RuntimeError> {
    // SAFETY: `entry` is loaded.
    let available = unsafe { entry.enumerate_instance_extension_properties(None) }
        .map_err(failed("listing instance extensions"))?;
    let portability = available
        .iter()
        .any(|extension| extension.extension_name_as_c_str() == Ok(khr::portability_enumeration::NAME));
    let application = vk::ApplicationInfo::default()
        .engine_name(c"drift")
        .application_name(c"drift")
        .api_version(vk::API_VERSION_1_3);
    let mut extensions = Vec::new();
    let mut layers = Vec::new();
    let mut flags = vk::InstanceCreateFlags::empty();
    if portability {
        // MoltenVK hides its device otherwise.
        extensions.push(khr::portability_enumeration::NAME.as_ptr());
        flags |= vk::InstanceCreateFlags::ENUMERATE_PORTABILITY_KHR;
    }
    if validate {
        extensions.extend([ext::debug_utils::NAME.as_ptr(), ext::validation_features::NAME.as_ptr()]);
        layers.push(VALIDATION_LAYER.as_ptr());
    }
    let checks = [vk::ValidationFeatureEnableEXT::SYNCHRONIZATION_VALIDATION];
    let mut features = vk::ValidationFeaturesEXT::default().enabled_validation_features(&checks);
    let mut messenger = messenger_info(log);
    let mut info = vk::InstanceCreateInfo::default()
        .application_info(&application)
        .enabled_extension_names(&extensions)
        .enabled_layer_names(&layers)
        .flags(flags);
    if validate {
        info = info.push_next(&mut features).push_next(&mut messenger);
    }
    // SAFETY: every pointer in `info` outlives the call, and `log` is boxed by the caller and outlives the
    // instance.
    unsafe { entry.create_instance(&info, None) }.map_err(|code| match code {
        vk::Result::ERROR_INCOMPATIBLE_DRIVER | vk::Result::ERROR_INITIALIZATION_FAILED => {
            no_driver("the loader found no driver".to_owned())
        }
        code => failed("creating an instance")(code),
    })
}

fn messenger_info(log: &ValidationLog) -> vk::DebugUtilsMessengerCreateInfoEXT<'_> {
    vk::DebugUtilsMessengerCreateInfoEXT::default()
        .message_severity(
            vk::DebugUtilsMessageSeverityFlagsEXT::ERROR | vk::DebugUtilsMessageSeverityFlagsEXT::WARNING,
        )
        .message_type(vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION)
        .pfn_user_callback(Some(on_message))
        .user_data(std::ptr::from_ref(log).cast_mut().cast())
}

unsafe extern "system" fn on_message(
    severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    _kind: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    user: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: `user` is the log that `messenger_info` was given, which outlives the instance; `data` and its
    // message are valid during the callback, or null.
    let (log, message) = unsafe {
        let log = &*user.cast_const().cast::<ValidationLog>();
        (log, data.as_ref().and_then(|data| data.message_as_c_str()).map(CStr::to_string_lossy))
    };
    let error = severity.contains(vk::DebugUtilsMessageSeverityFlagsEXT::ERROR);
    log.push(format!("{}: {}", if error { "error" } else { "warning" }, message.unwrap_or_default()));
    vk::FALSE
}
