//! What is kept of built programs: the binary of each source, under the device and driver that made it. A binary is found by
//! the hash of what it was made of, so that no file can give a kernel another one's code.

use drift_bundle::manifest::Shader;

use crate::cache::DriverHash;

/// What a binary was made of: BLAKE3 of options, entry point and source.
pub(crate) type Origin = [u8; 32];

/// What the binary of a shader is made of.
pub(crate) fn origin(options: &[u8], shader: &Shader, source: &[u8]) -> Origin {
    let mut hasher = blake3::Hasher::new();
    for part in [options, shader.entry_point.as_bytes(), source] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Binaries by what they were made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Binaries<'a>(Vec<(Origin, &'a [u8])>);

impl<'a> Binaries<'a> {
    /// Reads what [`Binaries::encode`] wrote for the same driver.
    pub(crate) fn decode(data: &'a [u8], driver: &DriverHash) -> Option<Self> {
        let mut rest = data.strip_prefix(driver)?;
        let mut binaries = Vec::new();
        while !rest.is_empty() {
            let (origin, after) = rest.split_first_chunk::<32>()?;
            let (size, after) = after.split_first_chunk::<8>()?;
            let size = usize::try_from(u64::from_le_bytes(*size)).ok()?;
            let (binary, after) = after.split_at_checked(size)?;
            binaries.push((*origin, binary));
            rest = after;
        }
        Some(Self(binaries))
    }

    /// Writes binaries with the driver that made them; those that a driver does not give are left out.
    pub(crate) fn encode(driver: &DriverHash, binaries: impl Iterator<Item = (Origin, Vec<u8>)>) -> Vec<u8> {
        let mut data = driver.to_vec();
        for (origin, binary) in binaries.filter(|(_, binary)| !binary.is_empty()) {
            data.extend(origin);
            data.extend((binary.len() as u64).to_le_bytes());
            data.extend(binary);
        }
        data
    }

    /// The binary that was made of this.
    pub(crate) fn of(&self, origin: &Origin) -> Option<&'a [u8]> {
        self.0.iter().find(|(of, _)| of == origin).map(|(_, binary)| *binary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_come_back_for_their_driver_only() {
        let (ours, other) = (DriverHash::from([7; 16]), DriverHash::from([8; 16]));
        let [a, b, c] = [[1; 32], [2; 32], [3; 32]];
        let pairs = vec![(a, vec![1, 2, 3]), (b, Vec::new()), (c, vec![0; 40])];
        let data = Binaries::encode(&ours, pairs.into_iter());
        let read = Binaries::decode(&data, &ours).unwrap();
        assert_eq!(read.of(&a), Some(&[1, 2, 3][..]));
        assert_eq!((read.of(&b), read.of(&c)), (None, Some(&[0; 40][..])));
        assert_eq!(Binaries::decode(&data, &other), None);
        assert_eq!(Binaries::decode(&data[..data.len() - 1], &ours), None, "cut off");
        assert_eq!(Binaries::decode(&[], &ours), None);
        assert_eq!(Binaries::decode(&ours, &ours), Some(Binaries::default()));
    }
}
