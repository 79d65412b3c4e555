//! What of a file of compiled pipelines Vulkan drivers do not check themselves: the device and driver in its head.

/// What Vulkan puts before a driver's own data: length, version 1, vendor, device, cache UUID.
const HEAD_BYTES: usize = 32;

/// The device and driver that data must be of.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) vendor: u32,
    pub(crate) device: u32,
    pub(crate) uuid: &'a [u8; ash::vk::UUID_SIZE],
}

/// Whether the head is whole and names this device and driver.
pub(crate) fn is_of(data: &[u8], owner: Owner<'_>) -> bool {
    let Some(head) = data.get(..HEAD_BYTES) else { return false };
    let words: Vec<u32> =
        head.as_chunks::<4>().0.iter().take(4).map(|word| u32::from_le_bytes(*word)).collect();
    let [length, version, vendor, device] = words[..] else { return false };
    (HEAD_BYTES..=data.len()).contains(&(length as usize))
        && version == ash::vk::PipelineCacheHeaderVersion::ONE.as_raw() as u32
        && (vendor, device) == (owner.vendor, owner.device)
        && head[16..] == owner.uuid[..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_another_device_or_driver_is_not_for_this_one() {
        let owner = Owner { vendor: 0x10005, device: 7, uuid: &[9; 16] };
        let mut data: Vec<u8> = [32_u32, 1, 0x10005, 7].iter().flat_map(|word| word.to_le_bytes()).collect();
        data.extend([9; 16]);
        data.extend(b"the driver's own");
        assert!(is_of(&data, owner));
        for at in 0..HEAD_BYTES {
            let mut other = data.clone();
            other[at] ^= 0x80;
            assert!(!is_of(&other, owner), "byte {at}");
        }
        assert!(!is_of(&data[..31], owner) && !is_of(&[], owner));
    }
}
