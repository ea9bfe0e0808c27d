//! Makes the build independent of any database: the queries are checked against the saved data in
//! `.sqlx`, whatever `DATABASE_URL` says, unless `prepare.sh` is renewing that data.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=.sqlx");
    println!("cargo::rerun-if-env-changed=DUGOUT_PREPARE_QUERIES");
    if std::env::var_os("DUGOUT_PREPARE_QUERIES").is_none() {
        println!("cargo::rustc-env=SQLX_OFFLINE=true");
    }
}
