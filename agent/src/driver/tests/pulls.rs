//! With whose credentials images are pulled.

use dugout_model::SecretValue;

use super::*;
use crate::driver::Event;
use crate::driver::hands::Acted;

fn login(username: &str) -> RegistryAuth {
    RegistryAuth::Login { username: username.to_owned(), password: SecretValue::new("x") }
}

/// Who asks for an image, and whether it is had in the end.
async fn asked(given: &[&str], takes: &str, own: &str) -> (Vec<String>, bool) {
    let engine = Arc::new(Engine { takes_user: Some(takes.to_owned()), ..Engine::default() });
    let (mut hands, mut inbox, folder) = hands_of(&engine);
    std::fs::write(folder.path().join("config.json"), own).unwrap();
    hands.use_credentials(NodeCredentials::in_folder(Some(folder.path().to_owned())));
    let auths = given.iter().map(|name| login(name)).collect();
    let job = Job::Pull { image: "r.io/x:1".to_owned(), auths };
    hands.act(uid(1), owner(), job, None, None);
    loop {
        let answer = tokio::time::timeout(PATIENCE, inbox.recv()).await.unwrap().unwrap();
        if let Event::Acted { acted, .. } = answer.event {
            let users = engine.users.lock().unwrap().clone();
            return (users, matches!(acted, Acted::Found(_)));
        }
    }
}

#[tokio::test]
async fn every_credential_is_tried_those_of_the_pod_first() {
    let own = r#"{"auths":{"r.io":{"username":"node","password":"x"}}}"#;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(asked(&["a", "b"], "b", own).await, (names(&["a", "b"]), true));
    assert_eq!(asked(&["a", "b"], "node", own).await, (names(&["a", "b", "node"]), true));
    assert_eq!(asked(&[], "node", own).await, (names(&["node"]), true));
    // Who has none asks as nobody, and nobody else does.
    assert_eq!(asked(&[], "nobody", "{}").await, (names(&["nobody"]), true));
    assert_eq!(asked(&["a"], "nobody", "{}").await, (names(&["a"]), false));
}
