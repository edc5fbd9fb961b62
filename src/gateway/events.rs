//! Finds where events begin in a stream of server-sent events (HTML standard §9.2.5), however it is cut into pieces.
//! Comments, which keep a connection alive, are none.

/// How far a stream was read.
#[derive(Debug)]
pub(crate) struct Events {
    is_at_line_start: bool,
    is_after_return: bool,
    is_in_event: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { is_at_line_start: true, is_after_return: false, is_in_event: false }
    }
}

impl Events {
    /// Reads the next piece and returns where in it events begin.
    pub(crate) fn begins_in(&mut self, piece: &[u8]) -> Vec<usize> {
        let mut begins = Vec::new();
        for (at, &byte) in piece.iter().enumerate() {
            if std::mem::take(&mut self.is_after_return) && byte == b'\n' {
                continue;
            }
            match byte {
                b'\n' | b'\r' => {
                    // An empty line ends an event.
                    self.is_in_event &= !self.is_at_line_start;
                    self.is_at_line_start = true;
                    self.is_after_return = byte == b'\r';
                }
                _ if !self.is_at_line_start => {}
                b':' => self.is_at_line_start = false,
                _ => {
                    self.is_at_line_start = false;
                    if !self.is_in_event {
                        begins.push(at);
                    }
                    self.is_in_event = true;
                }
            }
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::Events;

    #[test]
    fn events_are_counted_however_the_stream_is_cut_and_whatever_ends_its_lines() {
        let text = ": hello\n\ndata: one\n\nevent: x\ndata: two\ndata: more\n\n: alive\n\nid: 3\ndata:\n\n";
        let expected: Vec<usize> = ["data: one", "event: x", "id: 3"].map(|part| text.find(part).unwrap()).to_vec();
        for step in 1..=text.len() {
            let mut events = Events::default();
            let pieces = text.as_bytes().chunks(step).enumerate();
            let found: Vec<usize> = pieces
                .flat_map(|(number, piece)| events.begins_in(piece).into_iter().map(move |at| number * step + at))
                .collect();
            assert_eq!(found, expected, "in pieces of {step}");
        }
        for end in ["\r", "\r\n"] {
            assert_eq!(Events::default().begins_in(text.replace('\n', end).as_bytes()).len(), 3, "{end:?}");
        }
    }
}
