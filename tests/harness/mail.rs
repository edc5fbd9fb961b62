//! A mail server that takes one message.

/// Takes one message as a mail server does (RFC 5321), and returns the commands and the message.
pub async fn receive_mail(listener: &tokio::net::TcpListener) -> (String, String) {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let (stream, _) = listener.accept().await.expect("a connection");
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.example.com\r\n").await.expect("a greeting");
    let (mut commands, mut message, mut is_data) = (String::new(), String::new(), false);
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).await.expect("a line") > 0, "it broke off after {commands}{message}");
        if is_data && line != ".\r\n" {
            message.push_str(&line);
            continue;
        }
        if is_data {
            stream.write_all(b"250 taken\r\n").await.expect("an answer");
            return (commands, message);
        }
        is_data = line.starts_with("DATA");
        let answer: &[u8] = if is_data { b"354 go on\r\n" } else { b"250 mail.example.com\r\n" };
        stream.write_all(answer).await.expect("an answer");
        commands.push_str(&line);
    }
}
