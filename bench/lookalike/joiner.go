package lookalike

import "os"

// NewJoiner makes the data directory of a node that was a member once: an older
// state of the same databases, with what has been dropped since, and with files of
// its own.
func NewJoiner(dir string, size Size, owners Owners) (*Datadir, error) {
	m := newMaker(dir, owners)
	m.joinerTop(size)
	m.joinerDatabases(size)
	m.joinerKeeps()
	return m.done()
}

// joinerTop makes the old InnoDB and Aria, more of it than the donor has.
func (m *maker) joinerTop(size Size) {
	m.file("ibdata1", Gone, 0o660, tableSpace(0, size.part(80, 64), 50))
	m.file("ib_logfile0", Gone, 0o660, redo(size.part(40, 64)*pageSize, 51))
	m.file("ib_logfile1", Gone, 0o660, redo(size.part(40, 64)*pageSize, 52))
	for i, name := range []string{"undo001", "undo002", "undo003"} {
		m.file(name, Gone, 0o660, tableSpace(uint32(1+i), 64, 50))
	}
	m.file("aria_log_control", Gone, 0o660, ariaLog(52, 53))
	m.file("aria_log.00000001", Gone, 0o660, ariaLog(64<<10, 54))
	m.file("aria_log.00000007", Gone, 0o660, ariaLog(64<<10, 55))
	// Files that the server would replay on data they know nothing of.
	m.files(Gone, 0o660, "ib_buffer_pool", "ibtmp1", "ddl_recovery.log", "tc.log")
}

func (m *maker) joinerDatabases(size Size) {
	m.directory(Gone, "stale_db", "stale_db/sub", "mysql", "shop", "raw \xfc\xff bytes", "nothing_in_it")
	m.files(Gone, 0o660, "stale_db/db.opt", "stale_db/t.frm", "stale_db/sub/deeper.frm", "nothing_in_it/t.frm")
	m.file("stale_db/t.ibd", Gone, 0o660, tableSpace(40, 16, 50))
	m.files(Gone, 0o400, "stale_db/read only.frm")

	m.files(Gone, 0o660, "mysql/db.opt", "mysql/global_priv.frm", "mysql/global_priv.MAI", "mysql/dropped.frm")
	// An older state: shorter, longer, full where there should be holes, read-only.
	m.file(busyTable, Gone, 0o660, tableSpace(busySpace, size.part(8, 100), 50))
	m.file("shop/customers.ibd", Gone, 0o640, tableSpace(8, size.part(10, 64)+70, 50))
	m.file("shop/paged.ibd", Gone, 0o660, tableSpace(14, size.part(10, 128), 50))
	m.file("shop/empty.ibd", Gone, 0o660, tableSpace(19, 6, 50))
	m.files(Gone, 0o400, "shop/read only.frm")
	m.files(Gone, 0o666, "shop/orders.frm")
	m.files(Gone, 0o660, "shop/dropped.frm", "shop/dropped.ibd", "shop/stale.frm")
	m.file("shop/stale.ibd", Gone, 0o660, tableSpace(41, 16, 50))
	// Things of another type than what comes under their names.
	m.directory(Gone, "shop/seen.frm")
	m.files(Gone, 0o660, "shop/seen.frm/inside", "shop/latest")
	m.symlink("shop/old.MYD", Gone, "../"+witness)
	m.symlink("shop/customers.frm", Gone, "nowhere")
	m.files(Gone, 0o660, "raw \xfc\xff bytes/\xe9t\xe9.frm", "raw \xfc\xff bytes/\xe9t\xe8.frm")

	m.linkedDatabase("linked", Gone)
	m.files(Gone, 0o660, "linked/t.frm", "linked/dropped.frm")
}

// witness is a file of the joiner's own that a link leads to where the donor has a
// file: written through the link it would show.
const witness = "multi-master.info"

// joinerKeeps makes what no SST may touch. (No file here has a name at the donor
// with the same content.)
func (m *maker) joinerKeeps() {
	m.file("grastate.dat", Kept, 0o660, func(f *os.File) error { return writeGrastate(f, formerUUID, 1234) })
	for _, name := range []string{"gvwstate.dat", "galera.cache", witness, "mysql_upgrade_info", "node2.err", "mysqld-bin.000001", "notes of the joiner.txt"} {
		m.file(name, Kept, 0o660, text("the joiner's "+name))
	}
	for _, name := range []string{"node2.pem", "server-key.pem", "ca.pem"} {
		m.file(name, Kept, 0o600, text("the joiner's "+name))
	}
	m.directory(Kept, ServerKeys, ".cache", "lost+found")
	m.file(ServerKeys+"/server.key", Kept, 0o600, text("the joiner's key"))
	m.files(Kept, 0o600, ".cache/of somebody", "lost+found/#99")
	m.socket("mysqld.sock", Kept)
}
