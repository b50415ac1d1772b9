//! PostgreSQL as an image, for the stories that ask for it: it is more than all other images of a lab together.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::source::demo::images::archive::{self, Image};
use crate::source::demo::images::{Recipe, layer};
use crate::source::demo::program::Program;

pub(crate) const POSTGRES: &str = "postgres:e2e";

const PROGRAMS: [&str; 4] = ["initdb", "pg_basebackup", "postgres", "psql"];
/// `initdb` loads them into each database.
const MODULES: [&str; 2] = ["dict_snowball.so", "plpgsql.so"];
const HOME: &str = "usr/lib/postgresql/15";
const SHARED: &str = "usr/share/postgresql/15";
/// The server refuses to be root.
const USER: &str = "postgres:x:999:999:postgres:/data:/bin/sh\n";
const GROUP: &str = "postgres:x:999:\n";

const SCRIPT: &str = "\
#!/bin/sh
# PostgreSQL with its data in /data/main, which is made there as a whole or not at all. Arguments are the server's.
set -e
if [ \"$(id -u)\" = 0 ]; then
  chown -R postgres /data
  exec su postgres -c 'exec \"$0\" \"$@\"' -- \"$0\" \"$@\"
fi
if [ ! -d /data/main ]; then
  rm -rf /data/new
  initdb -D /data/new --username postgres --auth trust --encoding UTF8 --locale C --wal-segsize 1 --no-instructions
  echo 'host all all all trust' >>/data/new/pg_hba.conf
  sync -f /data
  mv /data/new /data/main
  sync -f /data
fi
exec postgres -D /data/main -c listen_addresses='*' -c unix_socket_directories=/tmp -c shared_buffers=16MB \"$@\"
";

/// The archive with [`POSTGRES`].
pub(crate) struct Postgres;

impl Recipe for Postgres {
    const NAME: &'static str = "postgres";
    const VERSION: u32 = 2;
    const PACKAGES: &'static [&'static str] = &[
        "busybox-static",
        "postgresql-15",
        "postgresql-client-15",
        "libcom-err2",
        "libgssapi-krb5-2",
        "libicu72",
        "libk5crypto3",
        "libkeyutils1",
        "libkrb5-3",
        "libkrb5support0",
        "libldap-2.5-0",
        "liblz4-1",
        "libpam0g",
        "libpq5",
        "libreadline8",
        "libsasl2-2",
        "libssl3",
        "libsystemd0",
        "libxml2",
        "libzstd1",
    ];

    async fn images(work: &Path, unpacked: &Path) -> Result<Vec<Image>> {
        let base = archive::pack(&layer::base(work, unpacked).await?).await?;
        let postgres = archive::pack(&file_system(work, unpacked).await?).await?;
        let image = Image::new(POSTGRES, vec![base, postgres], &["/bin/database"]);
        Ok(vec![
            image.env("PGHOST=/tmp").env("PGUSER=postgres").port(5432),
        ])
    }
}

async fn file_system(work: &Path, unpacked: &Path) -> Result<PathBuf> {
    let root = work.join("postgres");
    // Where there are no time zones it knows UTC, but it looks.
    for folder in ["bin", "data", "etc", "usr/bin", "usr/share/zoneinfo"] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    std::fs::write(root.join("etc/passwd"), [layer::PASSWD, USER].concat())?;
    std::fs::write(root.join("etc/group"), [layer::GROUP, GROUP].concat())?;
    for program in PROGRAMS {
        let inside = format!("{HOME}/bin/{program}");
        layer::install(unpacked, &inside, &root, &inside).await?;
        symlink(
            Path::new("/").join(inside),
            root.join("usr/bin").join(program),
        )?;
    }
    for module in MODULES {
        let inside = format!("{HOME}/lib/{module}");
        layer::copy(&unpacked.join(&inside), &root.join(&inside))?;
    }
    share(unpacked, &root).await?;
    let script = root.join("bin/database");
    std::fs::write(&script, SCRIPT)?;
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755))?;
    Ok(root)
}

/// What `initdb` reads, without the manual.
async fn share(unpacked: &Path, root: &Path) -> Result<()> {
    let target = root.join(SHARED);
    std::fs::create_dir_all(&target)?;
    Program::new("cp")
        .args(["-a", "--target-directory"])
        .arg(target.parent().expect("it is below a folder"))
        .arg(unpacked.join(SHARED))
        .run()
        .await?;
    std::fs::remove_dir_all(target.join("man"))?;
    Ok(())
}
