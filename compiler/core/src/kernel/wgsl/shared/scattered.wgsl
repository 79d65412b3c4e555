// Numbers that look random and follow from `places` alone (the finaliser of MurmurHash3).
fn scattered(places: vec4<u32>) -> vec4<u32> {
    var bits = places * 2654435761u;
    bits = (bits ^ (bits >> vec4<u32>(16u))) * 2246822507u;
    bits = (bits ^ (bits >> vec4<u32>(13u))) * 3266489909u;
    return bits ^ (bits >> vec4<u32>(16u));
}
