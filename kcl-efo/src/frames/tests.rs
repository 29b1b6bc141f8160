//! Any cut of the bytes gives the same frames, and what is no frame gives an error before it is read.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::timeout;

use super::*;
use crate::budget::Budget;

/// A body of these pieces.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

fn frame(bytes: usize) -> Vec<u8> {
    let mut frame = u32::try_from(bytes).unwrap().to_be_bytes().to_vec();
    frame.extend([0; 4]);
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend((PRELUDE..bytes).map(|at| u8::try_from(at % 251).unwrap()));
    frame
}

fn frames(pieces: impl IntoIterator<Item = Vec<u8>>, budget: usize) -> (Frames, Progress) {
    let progress = Progress::default();
    let pieces = pieces.into_iter().map(Bytes::from).collect();
    let frames = Frames {
        body: SdkBody::from_body_1_x(Pieces(pieces)),
        rest: Bytes::new(),
        state: State::Prelude {
            head: [0; PRELUDE],
            have: 0,
        },
        purse: Budget::new(budget).purse(),
        bytes_max: 1 << 20,
        progress: progress.clone(),
    };
    (frames, progress)
}

async fn next(frames: &mut Frames) -> Option<Result<Bytes, BoxError>> {
    let frame = poll_fn(|context| Pin::new(&mut *frames).poll_frame(context)).await?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

async fn error_of(bytes: Vec<u8>) -> BadFrame {
    let (mut frames, _) = frames([bytes], 1 << 20);
    let error = next(&mut frames).await.unwrap().unwrap_err();
    *error.downcast::<BadFrame>().unwrap()
}

proptest! {
    #[test]
    fn nothing_is_changed_and_no_piece_spans_two_frames(
        sizes in prop::collection::vec(16_usize..3000, 1..6),
        cuts in prop::collection::vec(1_usize..700, 1..40),
    ) {
        let whole: Vec<u8> = sizes.iter().copied().flat_map(frame).collect();
        let (mut pieces, mut rest, mut cuts) = (Vec::new(), &whole[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            pieces.push(piece.to_vec());
            rest = more;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut frames, _) = frames(pieces, 1 << 20);
            let (mut got, mut ends) = (Vec::new(), Vec::new());
            let mut end = 0;
            for size in &sizes {
                end += size;
                ends.push(end);
            }
            while let Some(piece) = next(&mut frames).await {
                let (piece, before) = (piece.unwrap(), got.len());
                got.extend_from_slice(&piece);
                let spans = |end: &usize| before < *end && *end < got.len();
                prop_assert!(!ends.iter().any(spans));
            }
            prop_assert_eq!(&got, &whole);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_length_that_cannot_be_is_refused_before_the_frame_is_read() {
    let mut huge = frame(16);
    huge[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(error_of(huge.clone()).await, BadFrame::Checksum);
    let sum = crc32fast::hash(&huge[..8]).to_be_bytes();
    huge[8..12].copy_from_slice(&sum);
    let too_long = BadFrame::Length {
        bytes: u32::MAX as usize,
        max: 1 << 20,
    };
    assert_eq!(error_of(huge).await, too_long);
    let mut short = frame(16);
    short[..4].copy_from_slice(&15_u32.to_be_bytes());
    let sum = crc32fast::hash(&short[..8]).to_be_bytes();
    short[8..12].copy_from_slice(&sum);
    let too_short = BadFrame::Length {
        bytes: 15,
        max: 1 << 20,
    };
    assert_eq!(error_of(short).await, too_short);
}

#[tokio::test]
async fn an_end_within_a_frame_is_an_error_and_one_between_frames_is_not() {
    for at in 0..60 {
        let (mut frames, _) = frames([[frame(20), frame(40)].concat()[..at].to_vec()], 1 << 20);
        let end = loop {
            match next(&mut frames).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break Some(*error.downcast::<BadFrame>().unwrap()),
                None => break None,
            }
        };
        let is_between = at == 0 || at == 20;
        assert_eq!(end, (!is_between).then_some(BadFrame::Cut), "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_waits_for_its_share_and_is_alive_meanwhile() {
    // The second begins with the bytes that end the first, which are no sign of it.
    let both = [frame(3000), frame(3000)].concat();
    let (mut frames, progress) = frames([both], 4096);
    let read = async |frames: &mut Frames| {
        let mut left = 3000;
        while left > 0 {
            left -= next(frames).await.unwrap().unwrap().len();
        }
    };
    read(&mut frames).await;
    let first = progress.take_share();
    assert!(first.is_some() && progress.take_share().is_none());
    let began = Instant::now();
    progress.event_came();
    assert_eq!(progress.last_sign(began), None);
    let early = timeout(Duration::from_millis(900), read(&mut frames)).await;
    assert!(early.is_err(), "there is no room for a second frame");
    let now = Instant::now();
    assert!(now > began);
    assert_eq!(progress.last_sign(now), Some(now), "it would if it could");
    drop(first);
    read(&mut frames).await;
    assert!(progress.take_share().is_some());
    let later = now + Duration::from_secs(9);
    assert_eq!(progress.last_sign(later), None, "all came with the first");
}
