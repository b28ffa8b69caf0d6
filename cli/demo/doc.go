// Package demo shows the main job of this program with nothing else installed: it
// makes a donor's and a joiner's data directory that look real, plays mariadbd on
// both sides, lets this very program fill the one from the other, and compares
// every file ([Run]). Where MariaDB with Galera is installed it does the same with
// a real cluster of two nodes ([RunCluster]).
//
// It promises:
//   - No error means that everything was compared and is equal.
//   - Everything happens in one temporary folder and on the loopback address. When
//     it returns, for whatever reason, no process is left, and no folder unless it
//     was asked to be kept.
//
// It leaves to others: how mariadbd starts the program and answers it
// (bench/mariadbd), what a data directory looks like and what becomes of each of its
// names (bench/lookalike), how two trees differ (tree), and flags.
package demo
