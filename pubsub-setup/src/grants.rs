use messaging::topology::{DEAD_LETTER_TOPIC, SUBSCRIPTIONS};

/// The grants that pushes and dead letters need and that only an owner of the project can make, as commands.
pub fn grants(project: &str, service_account: Option<&str>) -> String {
    let mut commands = vec![
        "# Pub/Sub's own service account forwards what is given up. Without these it cannot, and says so nowhere."
            .to_owned(),
        format!(
            "PUBSUB=\"serviceAccount:service-$(gcloud projects describe {project} --format='value(projectNumber)')@gcp-sa-pubsub.iam.gserviceaccount.com\""
        ),
        grant(&format!("pubsub topics add-iam-policy-binding {DEAD_LETTER_TOPIC}"), project, "pubsub.publisher"),
    ];
    for subscription in SUBSCRIPTIONS.iter().filter(|it| it.dead_letter_topic.is_some()) {
        let resource = format!("pubsub subscriptions add-iam-policy-binding {}", subscription.name);
        commands.push(grant(&resource, project, "pubsub.subscriber"));
    }
    if let Some(account) = service_account {
        commands.push("# It also signs the pushes as this account.".to_owned());
        let resource = format!("iam service-accounts add-iam-policy-binding {account}");
        commands.push(grant(&resource, project, "iam.serviceAccountTokenCreator"));
    }
    commands.join("\n")
}

fn grant(resource: &str, project: &str, role: &str) -> String {
    format!("gcloud {resource} --project={project} --member=\"$PUBSUB\" --role=roles/{role}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subscription_that_gives_up_is_granted_to_do_so() {
        let text = grants("shop", Some("pusher@shop.iam.gserviceaccount.com"));
        assert_eq!(text.matches("roles/pubsub.subscriber").count(), 4);
        assert_eq!(text.matches("roles/pubsub.publisher").count(), 1);
        assert!(!text.contains("dead-letter-sub"), "it gives nothing up");
        assert!(text.contains("roles/iam.serviceAccountTokenCreator"));
        assert!(!grants("shop", None).contains("iam.serviceAccountTokenCreator"));
    }
}
