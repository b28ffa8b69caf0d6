// Package tunnel tests the whole binary against the data path of the tunnel script: socat and rsync, with the very
// addresses and options that the script gives them, on the other node.
//
// The script uses one port number twice on a host, for the tunnel and for what is behind it on localhost, so the two
// nodes need network stacks of their own: two namespaces joined by a pair of virtual interfaces, which takes root and
// iproute2. Without them the tests skip and say so. mariadbd's part, the dialogue on stdout, is played by the test.
package tunnel
