//! What is kept of built programs: the binary of each shader, under the device and driver that made it.

use crate::info::DeviceInfo;

/// Bytes of a hash that tells drivers apart.
pub(crate) const HASH_BYTES: usize = 16;

/// Tells this device with this driver from all others.
pub(crate) fn driver_hash(info: &DeviceInfo) -> [u8; HASH_BYTES] {
    let text = format!("{}\n{}\n{}\n{:x}", info.name, info.driver, info.api_version, info.vendor_id);
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..HASH_BYTES]);
    hash
}

/// Binaries by the index of their shader.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Binaries<'a>(Vec<(usize, &'a [u8])>);

impl<'a> Binaries<'a> {
    /// Reads what [`Binaries::encode`] wrote for the same driver.
    pub(crate) fn decode(data: &'a [u8], driver: &[u8; HASH_BYTES]) -> Option<Self> {
        let mut rest = data.strip_prefix(driver)?;
        let mut binaries = Vec::new();
        while !rest.is_empty() {
            let (head, body) = rest.split_first_chunk::<16>()?;
            let number = |at: usize| -> Option<usize> {
                let bytes: [u8; 8] = head.get(at..at + 8)?.try_into().ok()?;
                usize::try_from(u64::from_le_bytes(bytes)).ok()
            };
            let (binary, after) = body.split_at_checked(number(8)?)?;
            binaries.push((number(0)?, binary));
            rest = after;
        }
        Some(Self(binaries))
    }

    /// Writes binaries with the driver that made them; those that a driver does not give are left out.
    pub(crate) fn encode(
        driver: &[u8; HASH_BYTES],
        binaries: impl Iterator<Item = (usize, Vec<u8>)>,
    ) -> Vec<u8> {
        let mut data = driver.to_vec();
        for (index, binary) in binaries.filter(|(_, binary)| !binary.is_empty()) {
            data.extend((index as u64).to_le_bytes());
            data.extend((binary.len() as u64).to_le_bytes());
            data.extend(binary);
        }
        data
    }

    /// The binary of a shader.
    pub(crate) fn of(&self, shader: usize) -> Option<&'a [u8]> {
        self.0.iter().find(|(index, _)| *index == shader).map(|(_, binary)| *binary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_come_back_for_their_driver_only() {
        let (ours, other) = ([7; HASH_BYTES], [8; HASH_BYTES]);
        let pairs = vec![(3, vec![1, 2, 3]), (5, Vec::new()), (900, vec![0; 40])];
        let data = Binaries::encode(&ours, pairs.into_iter());
        let read = Binaries::decode(&data, &ours).unwrap();
        assert_eq!(read.of(3), Some(&[1, 2, 3][..]));
        assert_eq!((read.of(5), read.of(900)), (None, Some(&[0; 40][..])));
        assert_eq!(Binaries::decode(&data, &other), None);
        assert_eq!(Binaries::decode(&data[..data.len() - 1], &ours), None, "cut off");
        assert_eq!(Binaries::decode(&[], &ours), None);
        assert_eq!(Binaries::decode(&ours, &ours), Some(Binaries::default()));
    }
}
