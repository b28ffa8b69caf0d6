// Package certs makes, collects and shows the certificates of an SST, on machines
// without openssl.
//
// What it promises: a key is never readable by others than its owner, not even for a
// moment; nothing is overwritten unless it is asked for, and then a reader sees the old
// file or the new one; a bundle never holds a key.
//
// What it leaves to others: which checks a certificate passes (cli/check, tls), and
// authorities: who has one lets it sign (docs/quickstart.md).
package certs
