### What the shop says in English. Both catalogues have the same keys; `language::catalogue` tests that.

## Every page

shop = Jumun shop
skip = Skip to the content
account = Your account
my-orders = My orders
languages = Languages
language-name = English
promise = An order is shown as paid once its payment is confirmed. All prices are in won.
moment = { $day } { $month ->
        [1] January
        [2] February
        [3] March
        [4] April
        [5] May
        [6] June
        [7] July
        [8] August
        [9] September
        [10] October
        [11] November
       *[12] December
    } { $year }, { $time } KST
back-to-shop = Back to the shop
continue-shopping = Continue shopping

## Products

products = Products
no-products = Nothing is on sale yet.
no-such-product = There is no such product
no-such-product-text = It is no longer on sale, or the address is wrong.
stock-left = { $count } left
sold-out = Sold out
sold-out-text = You cannot buy it right now. Once it is back, you can buy it on this page.

## Checkout

quantity = Quantity
email = E-mail (optional)
email-hint = Where the payment service sends the receipt.
payment-method = Payment method
needs-script = Please switch JavaScript on to pay.
summary = Your order
total = Total
pay = Pay
not-started = The payment could not be started. Nothing was charged.
being-checked = The payment of this order is being checked.

## After the payment window

paid = Payment received
checking = We are checking your payment
checking-text = You may close this page. Please do not pay again. The result will appear here shortly.
awaiting = Waiting for your transfer
refunded = This order was refunded
order = Order
amount = Amount
order-number = Order number
paid-by = Paid by
receipt = Show the receipt
bank = Bank
bank-account = Account number
due = Transfer by
try-again = Try again

## When it did not work

not-paid = The payment did not go through
not-paid-text = Nothing was charged.
declined = The payment was declined
declined-text = Nothing was charged. Please try another way to pay.
sold-out-late = It sold out just before your payment
sold-out-late-text = Nothing was charged.
overdue = The order has expired
overdue-text = Nothing was charged. Please order again.
mismatch = The amount differs from your order's
mismatch-text = Nothing was charged. Please order again from the start.
wrong-state = This order cannot be paid now
wrong-state-text = This attempt charged nothing.
given-back = The order had ended before you paid
given-back-text = Whatever you paid for it is returned.
failed = The payment could not be completed
failed-text = Please try again in a moment.
given-up = You canceled the payment
given-up-text = Nothing was charged.
no-such-order = There is no such order
no-such-order-text = Please open it in the browser that you ordered with.

## Trouble

no-such-page = There is no such page
no-such-page-text = The address has changed or was mistyped.
too-fast = Too many requests
too-fast-text = Please try again in a moment.
bad-link = That address is not right
bad-link-text = Please check that the address is complete.
trouble = Something is wrong on our side
trouble-text = Please try again in a moment. If you were paying, please look at your orders before you pay again.
