//! Zip files, made without the code that reads them.

/// Makes a zip file of files that are stored as they are.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let long = |bytes: usize| u32::try_from(bytes).expect("a small archive").to_le_bytes();
    let (mut all, mut list) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let (crc, size) = (crc32fast::hash(content).to_le_bytes(), long(content.len()));
        let name_bytes = u16::try_from(name.len()).expect("a short name").to_le_bytes();
        let common = [&[20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0][..], &crc, &size, &size, &name_bytes, &[0, 0]].concat();
        let at = long(all.len());
        list.extend([&b"PK\x01\x02\x14\x00"[..], &common, &[0; 10], &at, name.as_bytes()].concat());
        all.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), content].concat());
    }
    let count = u16::try_from(files.len()).expect("few files").to_le_bytes();
    let (list_bytes, at) = (long(list.len()), long(all.len()));
    [&all[..], &list, b"PK\x05\x06\0\0\0\0", &count, &count, &list_bytes, &at, &[0, 0]].concat()
}
