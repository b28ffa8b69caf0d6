// Package mariadbd plays the two servers of an SST: it starts this very program as
// joiner and as donor and answers it as mariadbd answers ([SST]).
//
// It promises:
//   - The program is started as mariadbd starts it: the same command line through
//     sh, umask, working directory, descriptors and environment; and it is answered
//     as mariadbd answers (sst-contract.md).
//   - Everything happens in one temporary folder ([Folder]) and on the loopback
//     address. When [SST.Run] returns, for whatever reason, no process is left.
//
// It leaves to others: what is in the data directories, and what is made of the
// result.
package mariadbd
