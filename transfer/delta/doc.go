// Package delta is the data half of the rsync engine: what travels between a request for a file and the digest that
// ends the reply (rsync-wire.md §10.4, §10.5, §11).
//
// Five things live here, in the order of a transfer:
//
//   - [Algorithm]: the negotiated checksum, as whole-file digest (unseeded) and as block digest (seeded);
//   - [Plan], [SumHead], [WriteSums], [ReadSums]: how a receiver cuts its old copy into blocks and describes them;
//   - [FileSender]: the reply of a sender, either the whole file ([FileSender.Whole]) or what differs from the
//     described blocks ([FileSender.Match]);
//   - [ReadToken]: one token of a reply;
//   - [Receive]: a whole reply, handed to a [Sink].
//
// What it promises. Everything read from the peer is checked against rsync-wire.md §17.1 before it is used, and nothing
// is allocated by an announced size beyond a limit the caller gives. Memory per file is a constant plus a few bytes a
// block. Time is linear in the file, also for files that consist of equal pages or were made to provoke collisions. The
// stream stays in step when a local file shrinks or turns unreadable halfway: the reply is completed with a digest that
// cannot match, and the caller learns why from a [ReadError]. Tokens obey the in-place rule (§11.4), so that they may
// always be applied to the old file itself.
//
// What it leaves to others: requests and replies around the data (indices, item flags, sum head), opening and writing
// files, redo, compression.
package delta
