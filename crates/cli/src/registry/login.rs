//! `login` and `logout`

use std::io::{BufRead as _, Write as _};

use api_types::{AuthConfig, AuthResponse};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain, print, println, stdin_is_terminal};
use crate::config::credentials::{DOCKER_HUB, login_key};
use crate::connect::Request;
use crate::error::Error;

pub static LOGIN: Command = Command {
    usage: "[OPTIONS] [SERVER]",
    about: "Log in to a registry; to Docker Hub when none is named",
    arity: Arity::AtMost(1),
    interspersed: true,
    flags: &[&[
        Flag::string("password", "Password or access token").short('p'),
        Flag::bool("password-stdin", "Read the password from standard input"),
        Flag::string("username", "User name").short('u'),
    ]],
    action: Action::Run(|cli, args| Box::pin(login(cli, args))),
};

pub static LOGOUT: Command = Command {
    usage: "[SERVER]",
    about: "Log out from a registry; from Docker Hub when none is named",
    arity: Arity::AtMost(1),
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(logout(cli, args))),
};

async fn login(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let server = login_key(args.args.first().map_or("", String::as_str));
    let mut config = cli.config_copy()?;
    let mut auth = match args.given("username") || args.given("password") {
        true => AuthConfig { server_address: server.clone(), ..AuthConfig::default() },
        false => config.credentials(&server)?,
    };
    if auth.username.is_empty() && auth.identity_token.is_empty() {
        auth.username = args.text("username");
        auth.password = password(args)?;
        ask(&mut auth)?;
    } else {
        complain("Authenticating with existing credentials...");
    }
    let answer: AuthResponse = cli.client()?.json(Request::post("/auth").json(&auth)?).await?;
    if !answer.identity_token.is_empty() {
        auth.password.clear();
        auth.identity_token = answer.identity_token;
    }
    let kept_in_file = config.file.creds_store.is_empty() && !config.file.cred_helpers.contains_key(&server);
    config.store_credentials(&auth)?;
    if kept_in_file {
        complain(format!(
            "WARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this warning.",
            config.dir.join("config.json").display()
        ));
    }
    println(if answer.status.is_empty() { "Login Succeeded" } else { &answer.status }).map(|()| 0)
}

fn password(args: &Parsed) -> Result<String, Error> {
    if !args.bool("password-stdin") {
        if args.given("password") {
            complain("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
        }
        return Ok(args.text("password"));
    }
    if args.given("password") {
        return Err(Error::invalid(
            "conflicting options: cannot specify both --password and --password-stdin",
        ));
    }
    if !args.given("username") {
        return Err(Error::invalid("the --password-stdin option requires --username to be set"));
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::stdin(), &mut text).map_err(Error::io("read stdin"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks for what is missing, on a terminal.
fn ask(auth: &mut AuthConfig) -> Result<(), Error> {
    if !auth.username.is_empty() && !auth.password.is_empty() {
        return Ok(());
    }
    if !stdin_is_terminal() {
        return Err(Error::invalid("cannot perform an interactive login from a non-TTY device"));
    }
    if auth.username.is_empty() {
        auth.username = prompt("Username: ")?;
    }
    if auth.username.is_empty() {
        return Err(Error::invalid("username is required"));
    }
    if auth.password.is_empty() {
        auth.password = without_echo(|| prompt("Password: "))?;
        println("")?;
    }
    match auth.password.is_empty() {
        true => Err(Error::invalid("password is required")),
        false => Ok(()),
    }
}

fn prompt(question: &str) -> Result<String, Error> {
    print(question)?;
    std::io::stdout().flush().map_err(Error::io("write stdout"))?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(Error::io("read stdin"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn without_echo<T>(read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let stdin = rustix::stdio::stdin();
    let fail = |error: rustix::io::Errno| Error::Io { operation: "switch echo off", source: error.into() };
    let settings = tcgetattr(stdin).map_err(fail)?;
    let mut silent = settings.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(stdin, OptionalActions::Now, &silent).map_err(fail)?;
    let result = read();
    tcsetattr(stdin, OptionalActions::Now, &settings).map_err(fail)?;
    result
}

async fn logout(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let server = login_key(args.args.first().map_or("", String::as_str));
    let shown = if server == DOCKER_HUB { "https://index.docker.io/v1/" } else { &server };
    let mut config = cli.config_copy()?;
    if !config.file.auths.contains_key(&server) && config.credentials(&server)?.username.is_empty() {
        return println(format!("Not logged in to {shown}")).map(|()| 0);
    }
    println(format!("Removing login credentials for {shown}"))?;
    config.erase_credentials(&server).map(|()| 0).map_err(Into::into)
}
