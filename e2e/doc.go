// Package e2e holds the tests against the real thing: mariadbd nodes with Galera on loopback, filled by our binary.
//
// Every test starts its own nodes in a directory of its own, with free ports, as the user mysql when run as root, and
// leaves no process behind: each mariadbd is killed with its process group at the end of its test, and by the kernel
// should the test program itself die. What the machine lacks is said loudly (package peers). E2E_KEEP=1 keeps the
// nodes' directories.
//
// The stock method `rsync` goes through the same harness once: when that fails, the harness or the machine is at
// fault, not the product.
//
// What the engine does with other rsync programs is tested one level lower, in e2e/sessions.
package e2e
