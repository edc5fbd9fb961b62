#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_gateway::fuzzing::requests(bytes));
